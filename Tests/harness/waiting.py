"""Waiting for what happens elsewhere: as long as it takes, never a fixed pause."""

import time


def wait_until(condition, timeout=10.0, what="the condition", every=0.01):
    """Returns the first true value of condition(); TimeoutError says what did not come in time.

    What condition raises counts as "not yet" (a server that is still starting refuses), and the last of it becomes the
    cause of the TimeoutError.
    """
    deadline = time.monotonic() + timeout
    while True:
        value, error = None, None
        try:
            value = condition()
        except Exception as caught:
            error = caught
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s (last answer: {value!r})") from error
        time.sleep(every)
