"""redis-cli as a publisher: its messages reach browsers connected to two gateways through HAProxy."""

import json
import re

import pytest
from harness.clients import exactly
from harness.django_site import DjangoSite
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from redis import ResponseError

POSITION = re.compile(r"^[0-9a-z]+\.[0-9a-f]{10}:\d+$")
MESSAGE = '{"type":"receive","isInsufficient:":true,"balance":12.5}'


@pytest.fixture(scope="module")
def site(redis_server, site_database):
    with DjangoSite(redis_server.url, database=site_database) as site:
        yield site


@pytest.fixture(scope="module")
def gateways(redis_server, site):
    with (
        Gateway(redis_server.url, "one", config(site.port)) as one,
        Gateway(redis_server.url, "two", config(site.port)) as two,
    ):
        yield [one, two]


@pytest.fixture(scope="module")
def haproxy(gateways):
    with HAProxy(gateways) as haproxy:
        yield haproxy


@pytest.fixture
def browsers(clients, haproxy, site):
    """Four WebSockets of user 42, two on each gateway, and one of user 43."""
    url = haproxy.url("/users/isinsufficient")
    of_42 = [clients.open(url, cookie=site.login(42))[0] for _ in range(4)]
    assert [row["scur"] for row in haproxy.servers().values()] == ["2", "2"]
    return of_42, clients.open(url, cookie=site.login(43))[0]


def assert_heard_by_42_only(redis_server, browsers, *expected):
    """Each socket of user 42 has received exactly these, once and in order; the socket of user 43 has received nothing."""
    of_42, of_43 = browsers
    for user in 42, 43:
        redis_server.cli("PUBLISH", f"asgi__group__{user}isInsufficient", '{"type":"receive","marker":true}', db=0)
    for socket in of_42:
        assert [exactly(text) for text in socket.until("marker")] == [exactly(text) for text in expected]
    assert of_43.until("marker") == []


def test_publish_reaches_exactly_the_four_sockets_of_the_user_once(redis_server, browsers):
    listening = redis_server.cli("PUBLISH", "asgi__group__42isInsufficient", MESSAGE, db=0)
    assert listening.strip() == "2"
    assert_heard_by_42_only(redis_server, browsers, MESSAGE)


def test_fcall_group_send_does_too_and_answers_position_and_gateways(redis_server, browsers):
    answer = redis_server.cli("FCALL", "group_send", 1, "asgi:group:42isInsufficient", MESSAGE).split()
    assert len(answer) == 2
    assert POSITION.match(answer[0])
    assert answer[1] == "2"
    assert_heard_by_42_only(redis_server, browsers, MESSAGE)


def test_positions_of_a_group_count_up_without_holes(redis_server, browsers):
    answers = [
        redis_server.cli("FCALL", "group_send", 1, "asgi:group:42isInsufficient", json.dumps({"n": n})).split()[0]
        for n in range(3)
    ]
    heads, offsets = zip(*(answer.rsplit(":", 1) for answer in answers))
    assert len(set(heads)) == 1
    first = int(offsets[0])
    assert [int(offset) for offset in offsets] == [first, first + 1, first + 2]
    assert_heard_by_42_only(redis_server, browsers, '{"n":0}', '{"n":1}', '{"n":2}')


def test_a_browser_never_sees_the_position_stamp(redis_server, browsers):
    of_42, _ = browsers
    redis_server.cli("FCALL", "group_send", 1, "asgi:group:42isInsufficient", "{}")
    redis_server.cli("FCALL", "group_send", 1, "asgi:group:42isInsufficient", ' \n{ "a" : [ 1 ] }')
    assert [exactly(text) for text in of_42[0].wait(2)] == [exactly("{}"), exactly('{"a":[1]}')]
    assert all("__tocsin__" not in text for text in of_42[0].messages)


def test_a_send_is_accepted_and_numbered_while_nobody_listens(redis_server, gateways):
    position, listening = redis_server.cli("FCALL", "group_send", 1, "asgi:group:nobody-is-here", MESSAGE).split()
    assert POSITION.match(position)
    assert listening == "0"


@pytest.mark.parametrize("message", ["", "hello", "[1]", '{"a":', '{"a":1} x', b"\xff"])
def test_what_is_not_a_message_is_refused_with_an_error(redis, gateways, message):
    with pytest.raises(ResponseError, match="tocsin"):
        redis.fcall("group_send", 1, "asgi:group:42isInsufficient", message)
