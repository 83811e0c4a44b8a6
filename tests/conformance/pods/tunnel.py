"""A pod that upgrades to a protocol of plain bytes, on bare sockets. It prints its port first.

What the client sends comes back only when the client has ended its side: whatever is in between must carry the end of
one direction without ending the other.
"""

import asyncio


async def connection(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: bytes\r\n\r\nhello\n")
    everything = await reader.read(-1)
    writer.write(b"%d bytes, then you ended\n" % len(everything))
    writer.write(everything)
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
