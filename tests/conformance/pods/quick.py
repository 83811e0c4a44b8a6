"""The quickest HTTP/1.1 pod that Python makes, for load: the same answer to every request, once its body is there.

It prints its port first.
"""

import asyncio
import re

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nas you wish\n"
END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.unread = b""

    def data_received(self, data):
        self.unread += data
        while (end := self.unread.find(END)) >= 0:
            length = LENGTH.search(self.unread, 0, end)
            whole = end + len(END) + (int(length[1]) if length else 0)
            if len(self.unread) < whole:
                return
            self.unread = self.unread[whole:]
            self.transport.write(ANSWER)


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
