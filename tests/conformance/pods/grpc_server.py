"""A gRPC pod on grpcio: the interop test service and the health service. It prints its port first."""

import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc_testing_pb2 as messages
import grpc_testing_pb2_grpc as services
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

NAME = sys.argv[1] if len(sys.argv) > 1 else "pod"

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"

# A thread serves a call from its begin to its end.
CALLS_AT_ONCE = 64

LARGEST = 32 * 1024 * 1024


class TestService(services.TestServiceServicer):
    def EmptyCall(self, request, context):
        echo_metadata(context)
        return messages.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        end_if_told(request, context)
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        return messages.SimpleResponse(payload=payload(request.response_size), server_id=NAME)

    def StreamingOutputCall(self, request, context):
        yield from outputs(request, context)

    def StreamingInputCall(self, requests, context):
        total = sum(len(request.payload.body) for request in requests)
        return messages.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            end_if_told(request, context)
            yield from outputs(request, context)


def outputs(request, context):
    for parameters in request.response_parameters:
        time.sleep(parameters.interval_us / 1_000_000)
        yield messages.StreamingOutputCallResponse(payload=payload(parameters.size))


def payload(size):
    return messages.Payload(body=bytes(size))


def end_if_told(request, context):
    if request.HasField("response_status"):
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[request.response_status.code], request.response_status.message)


def echo_metadata(context):
    sent = dict(context.invocation_metadata())
    if INITIAL in sent:
        context.send_initial_metadata([(INITIAL, sent[INITIAL])])
    if TRAILING in sent:
        context.set_trailing_metadata([(TRAILING, sent[TRAILING])])


def main():
    logging.disable()
    # Cancelled calls give their threads back when they are noticed; there must be some left meanwhile.
    server = grpc.server(
        ThreadPoolExecutor(CALLS_AT_ONCE),
        options=[("grpc.max_receive_message_length", LARGEST), ("grpc.so_reuseport", 0)],
    )
    services.add_TestServiceServicer_to_server(TestService(), server)
    well = health.HealthServicer()
    well.set("", health_pb2.HealthCheckResponse.SERVING)
    well.set("grpc.testing.TestService", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(well, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


main()
