"""A model of one group's log and of what its users have read: lists instead of cursors, so that it can disagree with the program."""

from dataclasses import dataclass, field


@dataclass
class Message:
    offset: int
    text: str
    collapse: str | None = None
    has_ttl: bool = False
    gone: str = ""  # expired, collapsed, trimmed, live; empty: the log has it


@dataclass
class InboxModel:
    """Ask `page`, `unread` and `continuity`; tell it what happened by the other methods."""

    size: int
    messages: list = field(default_factory=list)
    read: dict = field(default_factory=dict)  # user → the offsets that the user has read
    cursor: dict = field(default_factory=dict)  # user → all up to there were read at some time

    def reset(self):
        self.messages, self.read, self.cursor = [], {}, {}

    def kept(self):
        return [m for m in self.messages if not m.gone]

    def send(self, text, collapse=None, has_ttl=False, live=False, size=None):
        message = Message(len(self.messages) + 1, text, collapse, has_ttl, "live" if live else "")
        if not live:
            self._trim((self.size if size is None else size) - 1)
        for old in self.kept():
            if collapse and old.collapse == collapse:
                old.gone = "collapsed"
        self.messages.append(message)

    def _trim(self, left):
        # What has expired leaves the log at the next write after the trim: until then it has its place there.
        kept = [m for m in self.messages if m.gone in ("", "expiring")]
        for old in kept[: max(len(kept) - left, 0)]:
            old.gone = "trimmed"
        for old in self.messages:
            if old.gone == "expiring":
                old.gone = "expired"

    def swept(self):
        for old in self.messages:
            if old.gone == "expiring":
                old.gone = "expired"

    def expire(self):
        for message in self.kept():
            if message.has_ttl:
                message.gone = "expiring"

    def mark(self, user, kind, offset):
        self.swept()
        read = self.read.setdefault(user, set())
        there = {m.offset for m in self.kept()}
        if kind in ("READ", "ALL"):
            read |= set(range(1, offset + 1))
        elif offset in there:
            (read.add if kind == "ONE" else read.discard)(offset)

    def page(self, user):
        read = self.read.get(user, set())
        return [(m.offset, m.text, m.offset in read) for m in reversed(self.kept())]

    def unread(self, user):
        return sum(not is_read for *_, is_read in self.page(user))

    def is_whole_from(self, since):
        """Whether a reader that has everything up to there misses nothing but what has expired or was collapsed."""
        return not any(m.gone in ("live", "trimmed") for m in self.messages[since:])
