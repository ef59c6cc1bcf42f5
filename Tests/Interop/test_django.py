"""An unmodified Django site, with either of its channel layers, reaches browsers through two gateways.

Next to the gateways runs Daphne with the consumer that they replace: where both can serve a browser, they must agree.
"""

import base64
import json
import time
from socket import create_server

import pytest
from harness.clients import exactly
from harness.django_site import PROJECT, DjangoSite
from harness.free_port import free_port
from harness.gateway import ORIGIN, Gateway, config
from harness.haproxy import HAProxy
from harness.waiting import wait_until

PATH = "/users/isinsufficient"


@pytest.fixture(scope="module", params=["core", "pubsub"])
def layer(request):
    return request.param


@pytest.fixture(scope="module")
def site(redis_server, site_database, layer):
    with DjangoSite(redis_server.url, layer, database=site_database) as site:
        yield site


@pytest.fixture(scope="module")
def daphne(site, layer):
    """A second process of the site, with the Channels consumer."""
    with DjangoSite(site.redis_url, layer, asgi=True, database=site.database) as daphne:
        yield daphne


@pytest.fixture(scope="module")
def haproxy(redis_server, site):
    both = [Gateway(redis_server.url, name, config(site.port)) for name in ("one", "two")]
    with both[0], both[1], HAProxy(both) as haproxy:
        yield haproxy


@pytest.fixture
def browse(clients, haproxy, site):
    """Returns browse(user, count): opens so many WebSockets of the user through HAProxy."""
    return lambda user, count=1: clients.open(haproxy.url(PATH), count=count, cookie=site.login(user), at_once=1)


def event(balance):
    """The message that Django's consumer sends for this balance."""
    return json.dumps({"type": "receive", "isInsufficient:": True, "balance": balance})


def test_saving_a_low_balance_tells_that_user_s_browsers_and_nobody_else(site, browse):
    of_42, of_43 = browse(42, 4), browse(43)
    site.set_balance(42, 12.5)
    site.set_balance(42, 100.0)  # enough: no signal
    site.set_balance(42, 12.0)
    for user in 42, 43:
        site.set_balance(user, 0.25)  # the marker
    for socket in of_42:
        heard = socket.until("0.25")
        assert [exactly(text) for text in heard] == [exactly(event(12.5)), exactly(event(12.0))]
        assert "12.0" in heard[1]
    assert of_43[0].until("0.25") == []


def test_the_gateway_says_what_daphne_says(site, daphne, clients, browse):
    daphne.adopt(site)
    (ours,) = browse(44)
    (theirs,) = clients.open(daphne.url(PATH), cookie=site.login(44))
    balances = [3.5, 12.0, 0.1, -7.0, 1e-7, 1.5e-300, -1e16]
    for balance in balances:
        site.set_balance(44, balance)
    for text, reference, balance in zip(ours.wait(len(balances)), theirs.wait(len(balances)), balances):
        assert exactly(text) == exactly(reference) == exactly(event(balance))


def test_two_django_processes_reach_the_same_browsers(site, daphne, browse):
    daphne.adopt(site)
    sockets = browse(45, 2)
    for step in range(5):
        site.set_balance(45, 1.0 + step)
        daphne.set_balance(45, 10.0 + step)
    for socket in sockets:
        heard = [json.loads(text)["balance"] for text in socket.wait(10)]
        assert sorted(heard) == [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 11.0, 12.0, 13.0, 14.0]
        assert [b for b in heard if b < 10] == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert [b for b in heard if b >= 10] == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_a_group_name_of_99_characters_works(site, browse):
    user = "u" * (99 - len("isInsufficient"))
    (socket,) = browse(user)
    site.set_balance(user, 3.5)
    assert exactly(socket.wait(1)[0]) == exactly(event(3.5))


MESSAGES = {
    "nested lists and maps": {"a": [[1, [2, [3, []]]], {"b": {"c": [None, True, False]}}], "": {}},
    "integers of every width": {"n": [0, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**31, 2**32, -(2**31) - 1]},
    "integers beyond 2^53": {"n": [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]},
    "floats that stay floats": {
        "x": [12.0, -0.0, 0.1, 1e16, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, 123456789012345680.0]
    },
    "unicode": {
        "ключ": "значение",
        "emoji": "🔔🇺🇦👩‍🚒",
        "quotes": "\"'\\/\n\r\t\b\f\x00\x1f\x7f",
        "lines": "\u2028\u2029\ufeff",
    },
    "strings of every length class": {"s": ["a" * n for n in (0, 31, 32, 255, 256, 65535, 65536)]},
    "many keys": {f"key{n}": n for n in range(300)},
    "bytes": {"b": b"", "c": b"\x00\xff\xfe", "d": [bytes(range(256))]},
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_arrives_as_the_json_of_what_python_sent(site, clients, haproxy, name):
    sent = {"type": "receive", **MESSAGES[name]}
    expected = json.dumps(sent, default=lambda value: base64.b64encode(value).decode())
    group = "message-" + name.replace(" ", "-").replace("^", "")
    (socket,) = clients.open(haproxy.url(f"/ws/{group}"))
    site.group_send((group, sent), (group, {"type": "receive", "marker": 1}))
    (text,) = socket.until('"marker"')
    assert exactly(text) == exactly(expected)


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "",
        'say "hi"\\',
        "line\nbreak\ttab\r\x00\x1f\x7f",
        "naïve Ἀθῆναι 日本",
        "🔔 👩‍🚒 \u2028 \uffff",
        "a/b <c> &",
        "x" * 5000,
    ],
)
def test_the_echo_is_byte_for_byte_python_s_json_dumps(browse, text):
    (socket,) = browse(46)
    socket.send(text)
    assert socket.wait(1) == [json.dumps(text)]


def test_daphne_echoes_the_same(site, daphne, clients):
    (theirs,) = clients.open(daphne.url(PATH), cookie=site.login(46))
    theirs.send("🔔 /\x7f")
    assert theirs.wait(1) == [json.dumps("🔔 /\x7f")]


@pytest.mark.parametrize(
    "why, handshake",
    [
        ("without a login", {"cookie": None}),
        ("with a session that does not exist", {"cookie": "sessionid=" + "x" * 32}),
        ("from another site", {"origin": "http://evil.example"}),
        ("from a site that only looks like ours", {"origin": "http://site.example.evil.example"}),
        ("from a sandboxed page", {"origin": "null"}),
        ("without an origin", {"origin": None}),
    ],
)
def test_a_browser_is_refused_with_403_as_by_daphne(why, handshake, site, daphne, haproxy, clients):
    handshake = {"cookie": site.login(42), "origin": ORIGIN, **handshake}
    assert clients.status(daphne.url(PATH), **handshake) == 403
    assert clients.status(haproxy.url(PATH), **handshake) == 403


def test_a_logged_in_browser_from_the_site_is_let_in(site, haproxy, clients):
    for origin in ORIGIN, "https://SITE.example:8443":
        assert clients.status(haproxy.url(PATH), cookie=site.login(42), origin=origin) == 101


def test_a_logged_out_browser_is_refused(site, haproxy, clients):
    cookie = site.login("leaver")
    assert clients.status(haproxy.url(PATH), cookie=cookie) == 101
    site.logout("leaver")
    # A gateway may use the site's last answer for a short while.
    wait_until(lambda: clients.status(haproxy.url(PATH), cookie=cookie) == 403, 15, "the refusal")


def test_while_the_site_is_down_a_browser_is_told_to_come_back(redis_server, clients):
    with Gateway(redis_server.url, "alone", config(site_port=free_port())) as gateway:
        assert clients.status(gateway.url(PATH), cookie="sessionid=" + "x" * 32) == 503
        assert clients.status(gateway.url("/ws/public")) == 101


def test_a_site_that_does_not_answer_in_time_is_not_waited_for(redis_server, clients):
    with create_server(("127.0.0.1", 0)) as silent:
        settings = config(site_port=silent.getsockname()[1])
        settings["auth"]["site"]["timeout"] = "1s"
        with Gateway(redis_server.url, "patient", settings) as gateway:
            began = time.monotonic()
            assert clients.status(gateway.url(PATH), cookie="sessionid=" + "x" * 32) == 503
            assert time.monotonic() - began < 5


def test_the_example_s_own_configuration_starts_a_gateway(redis_server, clients):
    with Gateway(redis_server.url, "example", PROJECT / "tocsin.yaml") as gateway:
        # A wrong Origin is refused before the site is asked, so no site is needed at the example's address.
        assert clients.status(gateway.url(PATH), origin="http://evil.example") == 403
        assert clients.status(gateway.url("/elsewhere"), origin="http://localhost:8000") == 404


def test_a_browser_that_left_hears_no_more_and_the_others_do(site, browse):
    stays, leaves = browse(47), browse(47)
    leaves[0].close()
    site.set_balance(47, 5.5)
    assert exactly(stays[0].wait(1)[0]) == exactly(event(5.5))
    assert leaves[0].messages == []
