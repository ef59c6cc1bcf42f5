"""examples/inbox in two browsers of one user: a badge that counts on both, and a frozen browser that confirms nothing."""

import contextlib
import functools
import http.server
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from harness.browser import Browser
from harness.free_port import free_port
from harness.gateway import Gateway, config
from harness.process import REPOSITORY
from harness.waiting import wait_until

CONNECTED = "document.querySelector('#state').textContent === 'connected'"
SETTINGS = {
    "gateway": {"allowed_hosts": ["*"]},
    "routes": [{"path": "/inbox/{name}", "groups": ["{name}.inbox"]}],
    "groups": [{"match": "{user}.inbox", "inbox": True}],
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The example's folder, served on a port of its own."""
    handler = functools.partial(Quiet, directory=str(REPOSITORY / "examples" / "inbox"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()


@pytest.fixture(scope="module")
def gateway(redis_server):
    with Gateway(redis_server.url, "inbox", config(**SETTINGS)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def second_browser():
    """Another device: a process and a profile of its own."""
    with Browser() as browser:
        yield browser


def send(redis, user, text):
    return redis.fcall("group_send", 1, f"asgi:group:{user}.inbox", json.dumps({"text": text}))[0].decode()


def page_of(browser, site, gateway, user):
    page = browser.open(f"{site}?url={gateway.url(f'/inbox/{user}')}")
    page.wait_for(CONNECTED)
    return page


def badge(text):
    return f"document.querySelector('#badge').textContent === '{text}'"


def is_delivered(redis, user, position):
    answer = json.loads(redis.fcall_ro("receipts", 1, f"asgi:group:{user}.inbox", position))
    return answer["users"][0]["delivered"]


def test_the_badge_counts_on_both_devices_and_a_click_on_one_is_seen_on_the_other(
    browser, second_browser, site, gateway, redis
):
    one, two = (page_of(device, site, gateway, "42") for device in (browser, second_browser))
    send(redis, "42", "first")
    send(redis, "42", "second")
    for page in one, two:
        page.wait_for(badge("2"))
    one.evaluate("document.querySelector('#list li.unread').click()")
    for page in one, two:
        page.wait_for(badge("1"))
    two.wait_for("document.querySelectorAll('#list li.unread').length === 1")
    two.evaluate("document.querySelector('#all').click()")
    for page in one, two:
        page.wait_for(badge(""))


def test_it_goes_on_where_it_was_after_the_gateway_was_killed(browser, site, gateway, redis):
    page = page_of(browser, site, gateway, "43")
    send(redis, "43", "before")
    page.wait_for(badge("1"))
    gateway.kill()
    gateway.start()
    send(redis, "43", "meanwhile")
    page.wait_for(badge("2"), timeout=30)
    assert [text in page.text("#list") for text in ("before", "meanwhile")] == [True, True]


def test_a_browser_confirms_by_itself_and_a_frozen_one_does_not(second_browser, site, gateway, redis):
    page_of(second_browser, site, gateway, "44")
    position = send(redis, "44", "to a browser that runs")
    wait_until(lambda: is_delivered(redis, "44", position), 2)
    children = descendants(second_browser.pid)
    try:
        for child in children:
            signal_to(child, signal.SIGSTOP)
        position = send(redis, "44", "to a frozen browser")
        time.sleep(1.5)
        assert not is_delivered(redis, "44", position)
    finally:
        for child in children:
            signal_to(child, signal.SIGCONT)
    wait_until(lambda: is_delivered(redis, "44", position), 5)


def descendants(pid):
    """All processes of a browser: its network stack is one of its own."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            waiting += [int(child) for child in children.read_text().split()]
    return found


def signal_to(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
