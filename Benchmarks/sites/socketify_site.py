"""python socketify_site.py PORT REDIS-PORT: messages published to room.NAME go to all sockets of /ws/NAME.

One PSUBSCRIBE for all rooms: a subscription per room would add a round trip per connection without any gain here.
"""

import asyncio
import sys

from socketify import App, AppListenOptions, CompressOptions, OpCode

port, redis_port = int(sys.argv[1]), int(sys.argv[2])
app = App()


async def read_reply(reader):
    line = await reader.readline()
    kind, rest = line[:1], line[1:-2]
    if kind == b"*":
        return [await read_reply(reader) for _ in range(int(rest))]
    if kind == b"$":
        data = await reader.readexactly(int(rest) + 2)
        return data[:-2]
    return rest


async def relay():
    reader, writer = await asyncio.open_connection("127.0.0.1", redis_port)
    writer.write(b"PSUBSCRIBE room.*\r\n")
    while True:
        reply = await read_reply(reader)
        if reply[0] == b"pmessage":
            app.publish(reply[2], reply[3], OpCode.TEXT)


def upgrade(response, request, context):
    response.upgrade(
        request.get_header("sec-websocket-key"),
        request.get_header("sec-websocket-protocol"),
        request.get_header("sec-websocket-extensions"),
        context,
        "room." + request.get_parameter(0),
    )


app.ws(
    "/ws/:room",
    {
        "compression": CompressOptions.DISABLED,
        "max_backpressure": 64 << 20,
        "idle_timeout": 32,  # pings are sent a few seconds earlier: about every 25 s
        "upgrade": upgrade,
        "open": lambda ws: ws.subscribe(ws.get_user_data()),
    },
)
app.listen(AppListenOptions(port=port, host="127.0.0.1"))
task = app.loop.create_task(relay())  # kept here, because a loop has only weak references to its tasks
app.run()
