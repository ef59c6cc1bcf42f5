"""A TCP proxy that does to the bytes what networks do. Orders:

  {"do": "pass"}
  {"do": "drip", "bytes": n}       n bytes at a time, 1 ms apart: every frame and every reply is split everywhere
    {"do": "stall", "side": "down"}  stops reading ("up", "down", "both"): the peer sees a full window, no end
  {"do": "cut", "bytes": n}        after n more bytes downstream all connections are reset, mid-reply
    {"do": "fin"}                    an orderly end of all connections, towards the client
  {"do": "reset"}                  all connections are reset
    {"do": "refuse"}                 new connections are reset immediately, the others too
    {"do": "switch", "target": […]}  from now on leads to another server; all connections are reset
The answer: connections, resets.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys


class Fault:
    def __init__(self, spec):
        self.target = spec["target"]
        self.mode, self.side, self.bytes = "pass", "both", 0
        self.live: set[asyncio.StreamWriter] = set()
        self.connections = self.resets = 0

    def status(self):
        return {"connections": self.connections, "resets": self.resets}

    def reset(self, writer):
        linger = struct.pack("ii", 1, 0)  # closing without lingering is a reset
        with contextlib.suppress(OSError):  # closed already by the other side
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    def reset_all(self):
        self.resets += 1
        for writer in list(self.live):
            self.reset(writer)

    def stalls(self, side):
        return self.mode == "stall" and self.side in (side, "both")

    async def pump(self, reader, writer, side):
        try:
            while True:
                while self.stalls(side):
                    await asyncio.sleep(0.02)
                data = await reader.read(65536)
                if not data:
                    break
                while self.stalls(side):
                    await asyncio.sleep(0.02)
                if self.mode == "drip":
                    await self.drip(writer, data)
                    continue
                if self.mode == "cut" and side == "down":
                    data, self.bytes = data[: self.bytes], self.bytes - len(data)
                writer.write(data)
                await writer.drain()
                if self.mode == "cut" and self.bytes <= 0:
                    # Let what was just written leave before the reset.
                    await asyncio.sleep(0.005)
                    self.mode = "pass"
                    self.reset_all()
        except (ConnectionError, OSError):
            pass
        finally:
            if writer.can_write_eof() and not writer.transport.is_closing():
                try:
                    writer.write_eof()
                except OSError:
                    pass

    async def drip(self, writer, data):
        for start in range(0, len(data), self.bytes):
            writer.write(data[start : start + self.bytes])
            await writer.drain()
            await asyncio.sleep(0.001)

    async def accepted(self, reader, writer):
        if self.mode == "refuse":
            self.reset(writer)
            return
        try:
            there, onward = await asyncio.open_connection(*self.target)
        except OSError:
            self.reset(writer)
            return
        self.connections += 1
        both = (writer, onward)
        for end in both:
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.live.update(both)
        await asyncio.gather(self.pump(reader, onward, "up"), self.pump(there, writer, "down"))
        self.live.difference_update(both)
        for end in both:
            end.close()

    def do(self, order):
        word = order.pop("do")
        if word == "fin":
            for writer in list(self.live):
                if writer.can_write_eof() and not writer.transport.is_closing():
                    writer.write_eof()
        elif word == "reset":
            self.reset_all()
        elif word == "switch":
            self.target = order["target"]
            self.reset_all()
        else:
            self.mode = word
            self.side, self.bytes = order.get("side", "both"), order.get("bytes", 0)
            if word == "refuse":
                self.reset_all()

    async def run(self, listen):
        server = await asyncio.start_server(self.accepted, *listen, backlog=1024)
        print(json.dumps(self.status()), flush=True)
        orders = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            self.do(json.loads(line))
            print(json.dumps(self.status()), flush=True)
        server.close()


async def main():
    spec = json.loads(sys.stdin.readline())
    await Fault(spec).run(spec["listen"])


if __name__ == "__main__":
    asyncio.run(main())
