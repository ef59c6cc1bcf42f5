"""Waiting for conditions: as long as it takes, never for a fixed time."""

import contextlib
import threading
import time


def wait_until(condition, timeout=10.0, what="the condition", every=0.01, news=None):
    """Returns the first true value of condition(); raises TimeoutError with what was waited for.

    An exception from condition counts as "not yet" (a starting server refuses connections), and the last one becomes the
    cause of the TimeoutError.

    what: a string, or a function that makes one on timeout.
    every: seconds between two calls. news: a threading.Condition; it is held during condition(), and a notification
    triggers the next call immediately.
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
    """Base of clients that receive in a thread of their own while a test waits in another."""

    def __init__(self):
        self._news = threading.Condition()

    @contextlib.contextmanager
    def _hearing(self):
        """Wraps the recording of received data: waiting threads check again afterwards."""
        with self._news:
            yield
            self._news.notify_all()

    def wait_for(self, condition, timeout=10.0, what="the condition"):
        """wait_until that checks again whenever something is received.

        condition may look at what was received; it must not send or close (the receiving thread is blocked meanwhile).
        """
        return wait_until(condition, timeout, what, every=0.25, news=self._news)
