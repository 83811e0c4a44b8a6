"""The cases that gRPC's own interop test names, with grpcio on both ends, through podrobin as directly."""

import collections
import contextlib
import threading
import time

import grpc
import grpc_testing_pb2 as messages
import grpc_testing_pb2_grpc as services
from grpc_health.v1 import health_pb2, health_pb2_grpc

from process import SOON, Pod
from sidecar import Sidecar

INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")

LARGE_REQUEST = 271_828
LARGE_RESPONSE = 314_159
REQUEST_SIZES = (27_182, 8, 1_828, 45_904)
RESPONSE_SIZES = (31_415, 9, 2_653, 58_979)

MESSAGE_WITH_SPECIALS = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"

FAIR_CALLS = 10_000
FAIR_PODS = 3


def run(report):
    with report.suite("gRPC interop") as suite, Pod("grpc_server") as pod:
        with Sidecar([pod.port], "--upstream-protocol=http2") as sidecar:
            for case in CASES:
                suite.same(f"{case.__name__}: direct", "as it should", outcome(case, pod.port))
                suite.same(case.__name__, "as it should", outcome(case, sidecar.port))
            sidecar.check(suite)
    with report.suite("gRPC fairness") as suite, contextlib.ExitStack() as running:
        pods = [running.enter_context(Pod("grpc_server", name)) for name in "abc"]
        with Sidecar([pod.port for pod in pods], "--upstream-protocol=http2") as sidecar:
            counts = fairness(sidecar.port)
            suite.note(f"{FAIR_CALLS} calls over one connection: {dict(sorted(counts.items()))}")
            suite.same("every call was answered", FAIR_CALLS, counts.total())
            # In turn, so no pod is more than one call ahead.
            suite.row("each pod has a third", max(counts.values()) - min(counts.values()) <= 1, counts)
            suite.same("each pod has a share", FAIR_PODS, len(counts))
            sidecar.check(suite)


def outcome(case, port):
    try:
        with channel(port) as open_channel:
            case(services.TestServiceStub(open_channel), open_channel)
        return "as it should"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def channel(port):
    # A pool of one's own: channels of one process would share their connections.
    return grpc.insecure_channel(
        f"127.0.0.1:{port}",
        options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)],
    )


def fairness(port):
    counts = collections.Counter()
    with channel(port) as open_channel:
        call = services.TestServiceStub(open_channel).UnaryCall
        pending = collections.deque()
        for _ in range(FAIR_CALLS):
            pending.append(call.future(messages.SimpleRequest(), timeout=SOON))
            if len(pending) == 50:
                counts[pending.popleft().result().server_id] += 1
        for future in pending:
            counts[future.result().server_id] += 1
    return counts


def payload(size):
    return messages.Payload(body=bytes(size))


def equal(wanted, got):
    assert wanted == got, f"wanted {wanted!r:.500}, got {got!r:.500}"


def fails_with(code, call):
    """The error of a call that must fail so."""
    try:
        answer = call()
    except grpc.RpcError as error:
        equal(code, error.code())
        return error
    raise AssertionError(f"was answered: {answer!r:.500}")


def output_request(size, interval_us=0, payload_size=0):
    parameters = messages.ResponseParameters(size=size, interval_us=interval_us)
    return messages.StreamingOutputCallRequest(response_parameters=[parameters], payload=payload(payload_size))


def empty_unary(stub, _):
    equal(messages.Empty(), stub.EmptyCall(messages.Empty(), timeout=SOON))


def large_unary(stub, _):
    request = messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    equal(payload(LARGE_RESPONSE), stub.UnaryCall(request, timeout=SOON).payload)


def client_compressed_unary(stub, _):
    request = messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression):
        answer = stub.UnaryCall(request, compression=compression, timeout=SOON)
        equal(payload(LARGE_RESPONSE), answer.payload)


def server_compressed_unary(stub, _):
    for compressed in (True, False):
        request = messages.SimpleRequest(
            response_size=LARGE_RESPONSE,
            payload=payload(LARGE_REQUEST),
            response_compressed=messages.BoolValue(value=compressed),
        )
        equal(payload(LARGE_RESPONSE), stub.UnaryCall(request, timeout=SOON).payload)


def client_streaming(stub, _):
    requests = (messages.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_SIZES)
    equal(sum(REQUEST_SIZES), stub.StreamingInputCall(requests, timeout=SOON).aggregated_payload_size)


def client_compressed_streaming(stub, _):
    requests = (messages.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_SIZES)
    answer = stub.StreamingInputCall(requests, compression=grpc.Compression.Gzip, timeout=SOON)
    equal(sum(REQUEST_SIZES), answer.aggregated_payload_size)


def server_streaming(stub, _):
    parameters = [messages.ResponseParameters(size=size) for size in RESPONSE_SIZES]
    request = messages.StreamingOutputCallRequest(response_parameters=parameters)
    answers = list(stub.StreamingOutputCall(request, timeout=SOON))
    equal(list(RESPONSE_SIZES), [len(answer.payload.body) for answer in answers])


def ping_pong(stub, _):
    with conversation(stub) as (requests, answers):
        for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
            requests.send(output_request(response_size, payload_size=request_size))
            equal(response_size, len(next(answers).payload.body))
        requests.end()
        equal([], list(answers))


def empty_stream(stub, _):
    equal([], list(stub.FullDuplexCall(iter(()), timeout=SOON)))


def cancel_after_begin(stub, _):
    requests = Requests()
    call = stub.StreamingInputCall.future(requests, timeout=SOON)
    call.cancel()
    requests.end()
    equal(True, call.cancelled())
    equal(grpc.StatusCode.CANCELLED, call.code())


def cancel_after_first_response(stub, _):
    with conversation(stub) as (requests, answers):
        requests.send(output_request(RESPONSE_SIZES[0], payload_size=REQUEST_SIZES[0]))
        equal(RESPONSE_SIZES[0], len(next(answers).payload.body))
        answers.cancel()
        fails_with(grpc.StatusCode.CANCELLED, lambda: next(answers))


def timeout_on_sleeping_server(stub, _):
    request = output_request(1, interval_us=2_000_000)
    begun = time.monotonic()
    fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(stub.StreamingOutputCall(request, timeout=0.2)))
    assert time.monotonic() - begun < 1.5, "the deadline came late"


def custom_metadata(stub, _):
    metadata = (INITIAL, TRAILING)
    request = messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    _, call = stub.UnaryCall.with_call(request, metadata=metadata, timeout=SOON)
    came_back(call)
    call = stub.FullDuplexCall(iter([output_request(1)]), metadata=metadata, timeout=SOON)
    equal(1, len(list(call)))
    came_back(call)


def came_back(call):
    equal(INITIAL[1], dict(call.initial_metadata()).get(INITIAL[0]))
    equal(TRAILING[1], dict(call.trailing_metadata()).get(TRAILING[0]))


def status_code_and_message(stub, _):
    ends_with(stub, grpc.StatusCode.UNKNOWN, "test status message")


def special_status_message(stub, _):
    ends_with(stub, grpc.StatusCode.UNKNOWN, MESSAGE_WITH_SPECIALS)


def every_status_code(stub, _):
    for code in grpc.StatusCode:
        if code is not grpc.StatusCode.OK:
            ends_with(stub, code, f"this is {code.name}")


def ends_with(stub, code, message):
    status = messages.EchoStatus(code=code.value[0], message=message)
    unary = messages.SimpleRequest(response_status=status)
    duplex = messages.StreamingOutputCallRequest(response_status=status)
    equal(message, fails_with(code, lambda: stub.UnaryCall(unary, timeout=SOON)).details())
    error = fails_with(code, lambda: list(stub.FullDuplexCall(iter([duplex]), timeout=SOON)))
    equal(message, error.details())


def unimplemented_method(stub, _):
    fails_with(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedCall(messages.Empty(), timeout=SOON))


def unimplemented_service(_, open_channel):
    stub = services.UnimplementedServiceStub(open_channel)
    fails_with(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedCall(messages.Empty(), timeout=SOON))


def health(_, open_channel):
    stub = health_pb2_grpc.HealthStub(open_channel)

    def check(service):
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SOON)

    equal(health_pb2.HealthCheckResponse.SERVING, check("").status)
    equal(health_pb2.HealthCheckResponse.NOT_SERVING, check("grpc.testing.TestService").status)
    fails_with(grpc.StatusCode.NOT_FOUND, lambda: check("nobody"))
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=SOON)
    equal(health_pb2.HealthCheckResponse.SERVING, next(watch).status)
    watch.cancel()


def concurrent_large_unary(stub, _):
    request = messages.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))
    calls = [stub.UnaryCall.future(request, timeout=SOON) for _ in range(50)]
    equal([LARGE_RESPONSE] * 50, [len(call.result().payload.body) for call in calls])


class Requests:
    """Requests of a stream, sent one by one."""

    def __init__(self):
        self.queue = collections.deque()
        self.changed = threading.Condition()
        self.ended = False

    def __iter__(self):
        return self

    def __next__(self):
        with self.changed:
            while not self.queue and not self.ended:
                self.changed.wait()
            if self.queue:
                return self.queue.popleft()
            raise StopIteration

    def send(self, request):
        with self.changed:
            self.queue.append(request)
            self.changed.notify()

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify()


@contextlib.contextmanager
def conversation(stub):
    requests = Requests()
    try:
        yield requests, stub.FullDuplexCall(requests, timeout=SOON)
    finally:
        # The thread that reads the requests waits for it.
        requests.end()


CASES = [
    empty_unary,
    large_unary,
    client_compressed_unary,
    server_compressed_unary,
    client_streaming,
    client_compressed_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    every_status_code,
    unimplemented_method,
    unimplemented_service,
    health,
    concurrent_large_unary,
]
