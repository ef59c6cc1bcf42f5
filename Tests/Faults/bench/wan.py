"""A bad link in user space, for kernels without netem: two TUN devices, with delay, jitter and loss between them.

  python wan.py --a NAMESPACE_FILE=ADDRESS --b NAMESPACE_FILE=ADDRESS
Lines on standard input change it while it runs: "delay 100", "jitter 20" (milliseconds), "loss 5", "loss 100" (percent),
each way. It ends when standard input does.
"""

import argparse
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 1500
PACKETS_A_TURN = 64
libc = ctypes.CDLL(None, use_errno=True)


def tun(namespace, address, peer) -> int:
    """Creates the device in the namespace. The descriptor stays ours in whatever namespace this process is later."""
    descriptor = os.open(namespace, os.O_RDONLY)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(descriptor)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"wan0", IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "addr", "add", address, "peer", peer, "dev", "wan0"], check=True)
    subprocess.run(["ip", "link", "set", "wan0", "up", "mtu", str(MTU), "txqueuelen", "5000"], check=True)
    return device


class Link:
    def __init__(self, first, second):
        self.other = {first: second, second: first}
        self.parameters = {"delay": 0.0, "jitter": 0.0, "loss": 0.0}
        self.random = random.Random(1)
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.count = 0
        # Jitter delays packets, but keeps their order: a path that reorders would be another fault.
        self.last = {first: 0.0, second: 0.0}

    def take(self, device):
        for _ in range(PACKETS_A_TURN):
            try:
                packet = os.read(device, 65535)
            except BlockingIOError:
                return
            if self.random.random() * 100 < self.parameters["loss"]:
                continue
            jitter = self.random.uniform(-1, 1) * self.parameters["jitter"]
            due = time.monotonic() + (self.parameters["delay"] + jitter) / 1000
            due = self.last[device] = max(due, self.last[device])
            self.count += 1
            heapq.heappush(self.queue, (due, self.count, self.other[device], packet))

    def give(self):
        """Writes what is due. Returns the seconds until the next is."""
        while self.queue:
            wait = self.queue[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, device, packet = heapq.heappop(self.queue)
            try:
                os.write(device, packet)
            except OSError:
                pass  # the device's queue is full, or the device no longer exists: a lost packet
        return 1.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--a", required=True)
    parser.add_argument("--b", required=True)
    options = parser.parse_args()
    (first, here), (second, there) = options.a.split("="), options.b.split("=")
    link = Link(tun(first, here, there), tun(second, there, here))
    print("up", flush=True)
    while True:
        readable, _, _ = select.select([*link.other, sys.stdin], [], [], link.give())
        for source in readable:
            if source is not sys.stdin:
                link.take(source)
                continue
            text = os.read(0, 4096).decode()
            if not text:
                return
            for line in text.splitlines():
                name, value = line.split()
                link.parameters[name] = float(value)


main()
