"""A client of the centrifuge protocol by hand, one command at a time."""

import json

from harness.clients import frame

from .target import Target

TEXT = 1


class Commands:
    """claims: of its token; without any it takes the route that wants none."""

    def __init__(self, target: Target, **claims):
        self.socket = target.bearer("/rooms", **claims) if claims else target.socket("/open-rooms")
        self._replies: list[dict] = []

    def __enter__(self):
        assert "connect" in self.ask({"id": 1, "connect": {}})
        return self

    def __exit__(self, *_):
        self.socket.tcp.close()

    def say(self, *commands):
        """One message, a command a line."""
        self.socket.send(frame(TEXT, "\n".join(map(json.dumps, commands)).encode()))

    def reply(self, id) -> dict:
        """The next reply to this command; pushes on the way are skipped."""
        while True:
            for index, reply in enumerate(self._replies):
                if reply.get("id") == id:
                    return self._replies.pop(index)
            opcode, payload = self.socket.frame()
            assert opcode == TEXT, payload
            self._replies += [json.loads(line) for line in payload.splitlines()]

    def ask(self, command) -> dict:
        self.say(command)
        return self.reply(command["id"])

    def code(self, command) -> int | None:
        """The error's; None: it was done."""
        return self.ask(command).get("error", {}).get("code")
