"""A WebSocket pod on aiohttp. It prints its port first.

    /          echoes messages, permessage-deflate where it is offered
    /talk      on "close N": closes with that code; "ping": pings; "burst N": N messages at once
    /refuse    403, no upgrade
    /closed    no upgrade either: the close code with which a client ended /talk last
"""

import asyncio
import logging
import socket

from aiohttp import WSMsgType, web

CLOSED = web.AppKey("closed", list)


async def echo(request):
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def talk(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        match message.data.split():
            case ["close", code]:
                await socket.close(code=int(code), message=b"as you wish")
            case ["ping"]:
                await socket.ping(b"are you there")
                await socket.send_str("pinged")
            case ["burst", count]:
                for number in range(int(count)):
                    await socket.send_str(str(number))
    request.app[CLOSED].append(socket.close_code)
    return socket


async def closed(request):
    return web.Response(text=str(request.app[CLOSED][-1]))


async def refuse(_):
    return web.Response(status=403, text="not here\n", headers={"x-reason": "closed"})


async def main():
    logging.disable()
    app = web.Application()
    app[CLOSED] = []
    app.router.add_get("/", echo)
    app.router.add_get("/talk", talk)
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/closed", closed)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
