"""Waiting for what happens elsewhere: as long as it takes, never a fixed pause."""

import contextlib
import threading
import time


def wait_until(condition, timeout=10.0, what="the condition", every=0.01, news=None):
    """Returns the first true value of condition(); TimeoutError says what did not come in time.

    What condition raises counts as "not yet" (a server that is still starting refuses), and the last of it becomes the
    cause of the TimeoutError.

    what: a text, or a function that makes one when the time is over.
    every: seconds between two looks. news: a threading.Condition; it is held while condition() looks, and when it is
    notified the next look comes at once.
    """
    deadline = time.monotonic() + timeout
    with news or contextlib.nullcontext():
        while True:
            value, error = None, None
            try:
                value = condition()
            except Exception as caught:
                error = caught
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                what = what() if callable(what) else what
                raise TimeoutError(f"{what}: not within {timeout:g} s (last answer: {value!r})") from error
            if news:
                news.wait(min(left, every))
            else:
                time.sleep(every)


class Listener:
    """Base of what hears things in a thread of its own, while a test waits in another one."""

    def __init__(self):
        self._news = threading.Condition()

    @contextlib.contextmanager
    def _hearing(self):
        """Around writing down what was heard: whoever waits looks again after it."""
        with self._news:
            yield
            self._news.notify_all()

    def wait_for(self, condition, timeout=10.0, what="the condition"):
        """wait_until, looking again whenever something is heard.

        condition may look at what was heard; it may not send or close (the thread that listens waits for it meanwhile).
        """
        return wait_until(condition, timeout, what, every=0.25, news=self._news)
