"""A hand-written client of the centrifuge protocol, one command at a time."""

import json

from harness.clients import frame

from .target import Target

TEXT = 1


class Commands:
    """claims: of its token; without any it uses the route that needs none."""

    def __init__(self, target: Target, **claims):
        self.socket = target.bearer("/rooms", **claims) if claims else target.socket("/open-rooms")
        self._replies: list[dict] = []

    def __enter__(self):
        assert "connect" in self.ask({"id": 1, "connect": {}})
        return self

    def __exit__(self, *_):
        self.socket.tcp.close()

    def say(self, *commands):
        """One message with one command per line."""
        self.socket.send(frame(TEXT, "\n".join(map(json.dumps, commands)).encode()))

    def reply(self, id) -> dict:
        """The next reply to this command; pushes before it are skipped."""
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
        """The error code; None: success."""
        return self.ask(command).get("error", {}).get("code")
