"""A pod that speaks HTTP/1.1 and HTTP/2 on one port, on hypercorn (h11 and h2), for what clients do.

It prints its port first. Paths:

    /status/N    that status, without a body
    /bytes/N     N bytes, in pieces
    /gzip        a compressed text
    anything     the request's body, or a short text where it has none
"""

import asyncio
import gzip
import logging
import socket
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

NAME = sys.argv[1] if len(sys.argv) > 1 else "pod"
PIECE = bytes(range(256)) * 256
TEXT = b"a text that is worth compressing. " * 100


async def pod(scope, receive, send):
    if scope["type"] != "http":
        return
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    status, headers, pieces = answer(scope, bytes(body))
    headers += [(b"x-pod", NAME.encode()), (b"x-method", scope["method"].encode())]
    headers += [(b"x-version", scope["http_version"].encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["method"] != "HEAD":
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def answer(scope, body):
    _, kind, *rest = scope["path"].split("/")
    match kind:
        case "status":
            status = int(rest[0])
            empty = [] if status in (204, 304) else [(b"content-length", b"0")]
            return status, empty, []
        case "bytes":
            return 200, [], pieces(int(rest[0]))
        case "gzip":
            packed = gzip.compress(TEXT)
            return 200, [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(packed))], [packed]
        case _:
            content = body or b"as you wish\n"
            return 200, [(b"content-length", b"%d" % len(content))], [content]


def pieces(count):
    """Without a length: chunked in HTTP/1.1."""
    while count > 0:
        yield PIECE[:count]
        count -= len(PIECE)


def main():
    logging.disable()
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 60
    config.h2_max_concurrent_streams = 100
    print(listener.getsockname()[1], flush=True)
    asyncio.run(serve(pod, config))


main()
