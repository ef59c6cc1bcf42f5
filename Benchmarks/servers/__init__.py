"""The servers under test, each in its best configuration for pure fan-out. Their versions are in docs/performance.md."""

from .channels import ChannelsCore, ChannelsPubSub
from .floor import Floor
from .mosquitto import Mosquitto
from .nats import Nats
from .nchan import NchanMemory, NchanRedis
from .server import Server
from .socketify import Socketify
from .tocsin import Tocsin

SERVERS: dict[str, type[Server]] = {
    server.name: server
    for server in (Tocsin, Floor, NchanMemory, NchanRedis, Nats, Mosquitto, Socketify, ChannelsCore, ChannelsPubSub)
}
