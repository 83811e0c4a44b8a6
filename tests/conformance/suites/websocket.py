"""WebSocket: Autobahn's cases both ways, and what they leave out, through podrobin as directly."""

import asyncio
import os
import socket

import aiohttp
import kosoku
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from process import SOON, Pod
from sidecar import Sidecar

# Of the compression cases, which take minutes, a few of each message size and window.
CASES = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)] + ["12.1.4", "12.2.6", "12.4.2", "13.1.3", "13.3.6"]
COUNT = 306

# aiohttp, which is the other end in both directions, takes the close code 1005, which must not be sent.
AIOHTTP_FAILS = {"7.9.5"}

AT_ONCE = 4

MEBIBYTE = 1024 * 1024


def run(report):
    with report.suite("WebSocket, Autobahn's cases as client") as suite, Pod("websocket_echo") as pod:
        with Sidecar([pod.port]) as sidecar:
            direct = asyncio.run(fuzzing_client(pod.port))
            compare(suite, direct, asyncio.run(fuzzing_client(sidecar.port)), AIOHTTP_FAILS)
            sidecar.check(suite)
    with report.suite("WebSocket, Autobahn's cases as pod") as suite:
        direct = asyncio.run(fuzzing_pod(suite, through=False))
        compare(suite, direct, asyncio.run(fuzzing_pod(suite, through=True)), AIOHTTP_FAILS)
    with report.suite("WebSocket, conversations") as suite, Pod("websocket_echo") as pod, Pod("tunnel") as tunnel:
        with Sidecar([pod.port]) as sidecar, Sidecar([tunnel.port]) as to_tunnel:
            for name, conversation in CONVERSATIONS.items():
                direct = asyncio.run(outcome(conversation, pod.port))
                suite.same(f"{name}: direct", "as it should", direct)
                suite.same(name, direct, asyncio.run(outcome(conversation, sidecar.port)))
            for name, half_close in HALF_CLOSES.items():
                direct = half_close(tunnel.port)
                suite.same(f"{name}: direct", "as it should", direct)
                suite.same(name, direct, half_close(to_tunnel.port))
            sidecar.check(suite)
            to_tunnel.check(suite)


def compare(suite, direct, through, may_fail):
    """Every case passes but those that fail without podrobin too, and podrobin changes nothing."""
    suite.same("every case was run", [COUNT, COUNT], [len(direct), len(through)])
    for case, verdict in through.items():
        suite.row(f"case {case}", verdict[0] or case in may_fail, verdict)
        suite.same(f"case {case} as directly", direct.get(case), verdict)
    suite.note(f"{sum(verdict[0] for verdict in through.values())} of {len(through)} cases passed")


async def results(running):
    try:
        cases = await running
    except kosoku.FailureError as failure:
        cases = failure.results
    # Whether a pass is strict depends on what comes first, the echo or the end: not on who is in between.
    return {
        case.case_id: (case.passed, case.passed or case.behavior.value, case.behavior_close.value) for case in cases
    }


async def fuzzing_client(port):
    return await results(kosoku.run_fuzzingclient(f"ws://127.0.0.1:{port}/", cases=CASES, concurrency=AT_ONCE))


async def fuzzing_pod(suite, through):
    async with kosoku.run_fuzzingserver(cases=CASES, port=0) as server:
        if not through:
            return await echo_client(server, server.port)
        with Sidecar([server.port]) as sidecar:
            verdicts = await echo_client(server, sidecar.port)
            sidecar.check(suite)
            return verdicts


async def echo_client(server, port):
    """Plays the part of the client that is tested: echoes whatever each case sends."""
    uri = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{uri}/getCaseCount") as client:
            count = int(await client.receive_str())
        places = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(echo_case(session, uri, case, places) for case in range(1, count + 1)))
        async with session.ws_connect(f"{uri}/updateReports?agent=aiohttp"):
            pass
    return await results(server.get_result())


async def echo_case(session, uri, case, places):
    path = f"{uri}/runCase?case={case}&agent=aiohttp"
    async with places, session.ws_connect(path, max_msg_size=0, compress=15) as client:
        async for message in client:
            if message.type == aiohttp.WSMsgType.TEXT:
                await client.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await client.send_bytes(message.data)


async def outcome(conversation, port):
    try:
        async with asyncio.timeout(SOON):
            return await conversation(f"ws://127.0.0.1:{port}") or "as it should"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def large_messages(uri):
    for compression in (None, "deflate"):
        async with connect(uri, max_size=None, compression=compression) as client:
            for message in (os.urandom(16 * MEBIBYTE), "text " * (16 * MEBIBYTE // 5)):
                await client.send(message)
                if await client.recv() != message:
                    return f"another message came back, compression {compression}"


async def compression_is_negotiated(uri):
    async with connect(uri) as client:
        extensions = client.response.headers.get_all("Sec-WebSocket-Extensions")
        if not any("permessage-deflate" in extension for extension in extensions):
            return f"extensions {extensions}"


async def fragments(uri):
    async with connect(uri) as client:
        await client.send(["one, ", "two, ", "three"])
        if (message := await client.recv()) != "one, two, three":
            return message


async def pings(uri):
    async with connect(f"{uri}/talk") as client:
        await (await client.ping(b"still there?"))
        await client.send("ping")
        if (message := await client.recv()) != "pinged":
            return message


async def bursts(uri):
    async with connect(f"{uri}/talk") as client:
        await client.send("burst 5000")
        for number in range(5000):
            if (message := await client.recv()) != str(number):
                return f"{message} and not {number}"


async def close_codes_from_pod(uri):
    for code in (1000, 1001, 1011, 3000, 4999):
        async with connect(f"{uri}/talk") as client:
            await client.send(f"close {code}")
            await client.wait_closed()
            if (client.close_code, client.close_reason) != (code, "as you wish"):
                return f"{client.close_code} {client.close_reason} and not {code}"


async def close_codes_from_client(uri):
    for code in (1000, 1001, 3000, 4999):
        client = await connect(f"{uri}/talk")
        await client.close(code, "done")
        # The pod has answered the close, so it knows the code.
        async with aiohttp.ClientSession() as session, session.get(uri.replace("ws", "http") + "/closed") as answer:
            if (seen := await answer.text()) != str(code):
                return f"{seen} and not {code}"


async def refusal(uri):
    try:
        async with connect(f"{uri}/refuse"):
            return "was taken"
    except InvalidStatus as error:
        answer = error.response
        if (answer.status_code, answer.headers.get("x-reason"), answer.body) != (403, "closed", b"not here\n"):
            return f"{answer}"


async def many_at_once(uri):
    async def one(number):
        async with connect(uri) as client:
            for turn in range(20):
                await client.send(f"{number} {turn}")
                if (message := await client.recv()) != f"{number} {turn}":
                    return message

    strays = [stray for stray in await asyncio.gather(*(one(number) for number in range(100))) if stray]
    return strays and f"strays {strays[:5]}"


CONVERSATIONS = {
    "messages of 16 MiB": large_messages,
    "permessage-deflate is negotiated": compression_is_negotiated,
    "fragments make one message": fragments,
    "ping and pong both ways": pings,
    "5,000 messages at once": bursts,
    "the pod's close code and reason": close_codes_from_pod,
    "the client's close code": close_codes_from_client,
    "an upgrade that the pod refuses": refusal,
    "100 connections at once": many_at_once,
}


def half_closed(size):
    """The client sends so much, ends its side, and only then is answered."""

    def converse(port):
        sent = os.urandom(size)
        with socket.create_connection(("127.0.0.1", port), SOON) as client:
            stream = client.makefile("rwb")
            stream.write(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\n")
            stream.flush()
            status = stream.readline()
            while stream.readline() not in (b"\r\n", b""):
                pass
            if (hello := stream.readline()) != b"hello\n":
                return f"{status} {hello}"
            stream.write(sent)
            stream.flush()
            client.shutdown(socket.SHUT_WR)
            line = stream.readline()
            if line != b"%d bytes, then you ended\n" % size:
                return f"{line}"
            return "as it should" if stream.read() == sent else "other bytes came back"

    return converse


HALF_CLOSES = {
    "the client ends its side first": half_closed(1000),
    "16 MiB, and then the client ends its side": half_closed(16 * MEBIBYTE),
}
