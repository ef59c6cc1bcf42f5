"""What users see: a real browser on the demo page, with its own WebSocket and EventSource, across kills and drains."""

import json
import re
import signal
import subprocess
import threading
import time

import pytest
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.names import own

SERVICE_RESTART = 1012
CONNECTED = "document.querySelector('#state').textContent === 'connected'"


def settings(**gateway):
    # As in `tocsin dev` and the compose file, except for the Origins: the page's own host, which is the default.
    return config(
        gateway={"allowed_hosts": [], "demo_page": True, **gateway},
        groups=[{"match": "*", "history": {"size": 100_000}}],
    )


def page_url(server, query=""):
    return f"http://127.0.0.1:{server.port}/{query}"


def send(redis, group, message):
    redis.fcall("group_send", 1, f"asgi:group:{group}", message if isinstance(message, str) else json.dumps(message))


@pytest.fixture(scope="module")
def gateway(redis_server):
    with Gateway(redis_server.url, "one", settings()) as gateway:
        yield gateway


@pytest.fixture
def fleet(redis_server):
    """Two gateways of this test behind HAProxy."""
    with (
        Gateway(redis_server.url, "left", settings(drain_seconds=3)) as left,
        Gateway(redis_server.url, "right", settings(drain_seconds=3)) as right,
        HAProxy([left, right]) as proxy,
    ):
        yield proxy, {"left": left, "right": right}


def holder(redis, group, gateways):
    """The gateway that has the group's only client."""
    (seat,) = redis.hvals(own(f"roster:{group}"))
    return gateways[json.loads(seat)["gateway"]]


# The demo page --------------------------------------------------------------------------------------------------------


def test_the_demo_page_shows_a_notification(gateway, redis, open_page):
    page = open_page(page_url(gateway))
    page.wait_for(CONNECTED)
    assert "Nothing has arrived yet" in page.text()
    # Both, the newest first; and what looks like HTML is shown as text.
    messages = ['{"type":"receive","text":"Hello"}', '{"text":"<img src=x onerror=\\"document.title=1\\"> ü \U0001f514"}']
    for message in messages:
        send(redis, "demo", message)
    page.wait_for("document.querySelectorAll('#list li').length === 2")
    shown = page.evaluate("[...document.querySelectorAll('#list li span')].map(each => each.textContent)")
    assert shown == messages[::-1]
    assert "Nothing has arrived yet" not in page.text()
    assert page.evaluate("document.querySelectorAll('img').length") == 0


def test_the_command_on_the_page_goes_to_the_gateways_own_redis(gateway, redis_server, open_page):
    page = open_page(page_url(gateway))
    page.wait_for(CONNECTED)
    command = page.text("#command")
    assert command == (
        f"redis-cli -p {redis_server.port} -n 3 FCALL group_send 1 asgi:group:demo "
        """'{"type":"receive","text":"Hello"}'"""
    )
    sent = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=20)
    assert re.match(r"[0-9a-f]+\.[0-9a-f]{10}:\d+\n1\n$", sent.stdout), sent
    page.wait_for("document.querySelector('#list').innerText.includes('Hello')")


@pytest.mark.parametrize("query", ["?group=x';%20touch%20y;'", "?group=", "?redis=1;%20touch%20y", "?group=a%20b&redis=1"])
def test_nothing_of_a_links_making_gets_into_the_command(query, gateway, redis_server, open_page):
    page = open_page(page_url(gateway, query))
    page.wait_for("document.querySelector('#state').textContent !== 'connecting'")
    command = page.text("#command")
    assert not command or command.startswith(f"redis-cli -p {redis_server.port} -n 3 FCALL group_send 1 asgi:group:demo '")
    assert "touch" not in page.text()


def test_two_pages_show_the_same_and_another_group_shows_nothing_of_it(gateway, redis, open_page):
    pages = [open_page(page_url(gateway, "?group=shared")) for _ in range(2)]
    other = open_page(page_url(gateway, "?group=other"))
    for page in (*pages, other):
        page.wait_for(CONNECTED)
    send(redis, "shared", {"n": 1})
    send(redis, "other", {"n": 2})
    for page in pages:
        page.wait_for("document.querySelector('#list').innerText.includes('{\"n\": 1}')")
    other.wait_for("document.querySelectorAll('#list li').length === 1")
    assert '{"n": 2}' in other.text("#list")


def test_a_page_changes_its_group(gateway, redis, open_page):
    page = open_page(page_url(gateway, "?group=before"))
    page.wait_for(CONNECTED)

    def change(group):
        page.evaluate(
            f"document.querySelector('#group').value = {json.dumps(group)};"
            "document.querySelector('#group').dispatchEvent(new Event('change'))"
        )

    change("not a name")
    page.wait_for("document.querySelector('#state').textContent.includes('no group')")
    change("after")
    page.wait_for(CONNECTED)
    assert "asgi:group:after" in page.text("#command")
    send(redis, "before", {"n": 1})
    send(redis, "after", {"n": 2})
    page.wait_for("document.querySelectorAll('#list li').length === 1")
    assert '{"n": 2}' in page.text("#list")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_the_page_fits_its_screen(gateway, redis, open_page, width, scheme):
    page = open_page(page_url(gateway, "?group=fits"))
    page.look(width, 700, scheme)
    page.wait_for(CONNECTED)
    send(redis, "fits", {"word": "x" * 300, "text": "many words " * 30})
    page.wait_for("document.querySelectorAll('#list li').length === 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
    assert (brightness[0] < brightness[1]) == (scheme == "light")
    assert abs(brightness[0] - brightness[1]) > 400


def test_text_that_a_page_cut_in_the_middle_of_an_emoji_comes_back_to_it(gateway, open_page):
    page = open_page(page_url(gateway))
    page.evaluate(
        """
        window.heard = null; window.ended = null
        window.sender = new WebSocket(`ws://${location.host}/say/cut`)
        sender.onopen = () => sender.send(JSON.stringify({text: 'hello \\u{1f600}'.slice(0, 7)}))
        sender.onmessage = event => { window.heard = JSON.parse(event.data).text }
        sender.onclose = event => { window.ended = event.code }
        """
    )
    page.wait_for("window.heard !== null || window.ended !== null")
    assert page.evaluate("[heard.slice(0, 6), heard.length, heard.charCodeAt(6), ended]") == ["hello ", 7, 0xD83D, None]


# EventSource ----------------------------------------------------------------------------------------------------------

LISTEN = """
    window.heard = []; window.opened = 0; window.gaps = [];
    window.source = new EventSource('/ws/GROUP');
    source.onopen = () => opened++;
    source.onmessage = event => heard.push([JSON.parse(event.data).n, event.lastEventId]);
    source.addEventListener('gap', event => gaps.push(event.data));
"""


def test_an_event_source_resumes_over_a_killed_gateway_with_nothing_missing(fleet, redis_server, redis, open_page):
    proxy, gateways = fleet
    page = open_page(page_url(proxy))
    page.evaluate(LISTEN.replace("GROUP", "killed"))
    page.wait_for("opened === 1")
    sent, stop = [], threading.Event()

    def publish():
        client = redis_server.client()
        while not stop.is_set():
            sent.append(client.fcall("group_send", 1, "asgi:group:killed", f'{{"n":{len(sent)}}}')[0].decode())
            time.sleep(0.002)  # sets the pace; nothing is waited for

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        page.wait_for("heard.length > 100")
        holder(redis, "killed", gateways).kill()
        page.wait_for("opened === 2", 20)
        back_at = page.evaluate("heard.length")
        page.wait_for(f"heard.length > {back_at + 100}")
    finally:
        stop.set()
        publisher.join()
    page.wait_for(f"heard.length && heard.at(-1)[0] === {len(sent) - 1}")
    heard = page.evaluate("heard")
    assert [n for n, _ in heard] == list(range(len(sent)))
    assert [id for _, id in heard] == sent
    assert page.evaluate("gaps") == []


def test_an_event_source_comes_back_from_a_drained_gateway(fleet, redis, open_page):
    proxy, gateways = fleet
    page = open_page(page_url(proxy))
    page.evaluate(LISTEN.replace("GROUP", "drained"))
    page.wait_for("opened === 1")
    send(redis, "drained", {"n": 0})
    page.wait_for("heard.length === 1")
    leaving = holder(redis, "drained", gateways)
    leaving.signal(signal.SIGTERM)
    assert leaving.wait() == 0
    send(redis, "drained", {"n": 1})
    page.wait_for("heard.length === 2", 15)
    assert page.evaluate("heard.map(each => each[0])") == [0, 1]
    assert page.evaluate("[opened, source.readyState, gaps]") == [2, 1, []]


# WebSocket ------------------------------------------------------------------------------------------------------------


def test_a_drain_closes_with_1012_and_the_page_comes_back_by_itself(fleet, redis, open_page):
    proxy, gateways = fleet
    page = open_page(page_url(proxy, "?group=leaving"))
    page.wait_for(CONNECTED)
    leaving = holder(redis, "leaving", gateways)
    page.evaluate(
        "window.closings = []; window.other = new WebSocket('" + leaving.url("/ws/watcher") + "');"
        "other.onclose = event => closings.push([event.code, event.reason, event.wasClean])"
    )
    page.wait_for("other.readyState === WebSocket.OPEN")
    leaving.signal(signal.SIGTERM)
    assert leaving.wait() == 0
    page.wait_for("closings.length === 1")
    ((code, reason, clean),) = page.evaluate("closings")
    assert (code, clean) == (SERVICE_RESTART, True)
    assert re.fullmatch(r"the gateway restarts; reconnect in \d+ ms", reason)
    page.wait_for(CONNECTED)
    assert holder(redis, "leaving", gateways) is not leaving
    send(redis, "leaving", {"text": "after the drain"})
    page.wait_for("document.querySelector('#list').innerText.includes('after the drain')")
