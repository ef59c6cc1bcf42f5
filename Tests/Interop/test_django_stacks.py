"""The Django stacks that sites run, from channels_redis 2.1.1 on, unmodified: each beside one gateway.

stacks/site is the project, the same for all; harness/django_stack.py says which stacks there are. Its Daphne serves the
consumer that the gateway stands in for, so that what a browser hears at one can be compared with the other.
"""

import base64
import contextlib
import json
from types import SimpleNamespace

import pytest
from harness.clients import Clients, exactly
from harness.django_stack import STACKS, Daphne, Driver, Project, Worker
from harness.gateway import Gateway, config, tocsin
from harness.http_client import request
from harness.redis_server import RedisServer
from harness.stack_fixtures import daphne, django, project, redis_server, stack  # noqa: F401
from harness.stack_fixtures import each_stack as each_of

PATH = "/users/isinsufficient"


def each_stack(layers=("core", "pubsub"), serializers=("msgpack", "json")):
    """The test runs with each stack that has one of these."""
    return each_of(stack for stack in STACKS if stack.layer in layers and stack.serializer in serializers)


@pytest.fixture(scope="module")
def worker(project):
    with Worker(project) as worker:
        yield worker


@pytest.fixture(scope="module")
def gateway(stack, redis_server, daphne):
    with Gateway(redis_server.url, "one", config(daphne.port, redis=stack.redis_settings)) as gateway:
        yield gateway


@pytest.fixture
def browsers(clients, daphne, gateway):
    """browsers(user) → two WebSockets of the user: `ours` at the gateway, `theirs` at Daphne."""

    def browsers(user):
        at_both = clients.open(gateway.url(PATH), daphne.url(PATH), cookie=daphne.login(user), at_once=1)
        return SimpleNamespace(ours=at_both[0], theirs=at_both[1])

    return browsers


@pytest.fixture
def channel_of(gateway):
    """channel_of(group) → the channel name of the one connection that the gateway has in the group."""

    def channel_of(group):
        settings = gateway.directory / "tocsin.yaml"
        (row,) = json.loads(tocsin("who", group, "--json", "--config", settings, "--redis", gateway.redis_url).stdout)
        return row["channel"]

    return channel_of


def said(balance, **more):
    return {"type": "receive", "isInsufficient:": True, "balance": balance, **more}


@contextlib.contextmanager
def standing_still(process):
    process.pause()
    try:
        yield
    finally:
        process.resume()


def heard_at_consumer(clients, socket, marker):
    """What Daphne's consumer passed on before the marker, without the entry in which we write a message's position."""
    has_marker = lambda: any(marker in text for text in socket.messages)  # noqa: E731
    clients.wait_for(lambda: has_marker() or not socket.open, 10, lambda: f"{marker}, has {socket.messages[-5:]}")
    assert socket.open, f"the consumer ended with {socket.close_code}"
    events = [json.loads(text) for text in socket.until(marker)]
    return [{name: value for name, value in event.items() if name != "__tocsin__"} for event in events]


# From Django to the browser -------------------------------------------------------------------------------------------


@each_stack()
def test_saving_a_low_balance_tells_the_user_at_the_gateway_as_at_daphne(daphne, django, browsers):
    user = browsers("42")
    daphne.set_balance("42", 12.5)
    daphne.set_balance("42", 100.0)  # enough: no signal
    django.do("set_balance", "42", 12.0)
    django.do("set_balance", "42", 0.25)  # the marker
    for socket in user.ours, user.theirs:
        assert [exactly(text) for text in socket.until("0.25")] == [exactly(json.dumps(said(b))) for b in (12.5, 12.0)]


@each_stack()
def test_200_messages_arrive_once_and_in_order(django, gateway, clients):
    sockets = clients.open(gateway.url("/ws/ordered"), count=2)
    sent = [said(number) for number in range(200)]
    django.group_send(*(("ordered", message) for message in [*sent, said(0.25)]))
    for socket in sockets:
        assert [json.loads(text) for text in socket.until("0.25")] == sent


@each_stack()
def test_what_came_while_the_gateway_stood_still_keeps_its_order_and_twice_the_same_is_two(django, gateway, clients):
    """All of it lies in the inbox at once. 2.1 puts the newest last in its list, 2.4 first; and 2.x has no random bytes."""
    (socket,) = clients.open(gateway.url("/ws/piled"))
    sent = [said(number // 2) for number in range(60)]
    with standing_still(gateway):
        django.group_send(*(("piled", message) for message in [*sent, said(0.25)]))
    assert [json.loads(text) for text in socket.until("0.25")] == sent


VALUES = {
    "unicode": ["grün", "日本", "🔔👩‍🚒", "\u2028\ufeff\x00\"\\/", "x" * 70_000],
    "floats": [12.0, -0.0, 0.1, 1e16, 1e22, 5e-324, 1.7976931348623157e308],
    "integers": [0, -1, 127, 128, -33, 2**31, 2**53 + 1, -(2**63), 2**64 - 1],
    "nested": {"list": [[1, [2, [3, []]]], {"map": {"": [None, True, False]}}], "empty": {}},
    "nothing": None,
}


@each_stack()
@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_at_the_gateway_what_it_is_at_daphne(django, browsers, name):
    user = browsers(f"values-{name}")
    sent = {"type": "receive", "value": VALUES[name], "ключ": name}
    django.group_send(*((f"values-{name}isInsufficient", message) for message in (sent, said(0.25))))
    for socket in user.ours, user.theirs:
        assert [exactly(text) for text in socket.until("0.25")] == [exactly(json.dumps(sent))]


@each_stack(serializers=["msgpack"])  # JSON has none
def test_bytes_are_base64_for_a_browser(django, gateway, clients):
    (socket,) = clients.open(gateway.url("/ws/bytes"))
    values = [b"", b"\x00\xff\xfe", bytes(range(256))]
    django.do("group_send", "bytes", {"type": "receive", "values": values})
    assert json.loads(socket.wait(1)[0])["values"] == [base64.b64encode(value).decode() for value in values]


@each_stack()
def test_what_the_layer_encrypts_arrives_in_clear(stack, project, clients):
    with RedisServer() as server:
        settings = {**stack.redis_settings, "encryption_keys": ["a-key-of-the-tests"]}
        secretive = Project(stack, server.url, project.database, {"LAYER_KEYS": "a-key-of-the-tests"})
        with Gateway(server.url, "one", config(redis=settings)) as gateway, Driver(secretive) as django:
            (socket,) = clients.open(gateway.url("/ws/secret"))
            django.do("group_send", "secret", said(3.5))
            assert exactly(socket.wait(1)[0]) == exactly(json.dumps(said(3.5)))


@each_stack()
def test_what_we_send_is_encrypted_for_consumers_at_daphne_in_order(stack, project, clients):
    """From a client of Redis that has no keys: a gateway encrypts it."""
    with RedisServer() as server:
        settings = {**stack.redis_settings, "encryption_keys": ["a-key-of-the-tests"]}
        secretive = Project(stack, server.url, project.database, {"LAYER_KEYS": "a-key-of-the-tests"})
        secretive.migrate()
        with (
            Daphne(secretive) as daphne, Gateway(server.url, "one", config(daphne.port, redis=settings)) as gateway,
            Gateway(server.url, "two", config(daphne.port, redis=settings)),
        ):  # fmt: skip
            cookie = daphne.login("secretive")
            clients.open(daphne.url("/ask"))
            theirs, ours = clients.open(daphne.url(PATH), gateway.url(PATH), cookie=cookie, at_once=1)
            redis = server.client()
            for number in range(30):
                answer = redis.fcall(
                    "group_send", 1, stack.group_key("secretiveisInsufficient"), json.dumps(said(number)))
                assert answer[2:] == [1, 0]
            assert [json.loads(text) for text in ours.wait(30)] == [said(number) for number in range(30)]
            heard = [json.loads(text) for text in theirs.wait(30)]
            assert [event["balance"] for event in heard] == list(range(30))


# From us to Django's consumers ----------------------------------------------------------------------------------------


def send_by_redis_cli(gateway, stack, redis_server, group, message):
    answer = redis_server.cli("FCALL", "group_send", 1, stack.group_key(group), json.dumps(message))
    assert ":" in answer, answer


def send_by_http(gateway, stack, redis_server, group, message):
    assert request(gateway.admin_port, "POST", f"/v1/groups/{group}/messages", json.dumps(message)).status == 201


def send_by_command(gateway, stack, redis_server, group, message):
    settings = gateway.directory / "tocsin.yaml"
    tocsin("send", group, json.dumps(message), "--config", settings, "--redis", redis_server.url)


@each_stack()
@pytest.mark.parametrize("send", [send_by_redis_cli, send_by_http, send_by_command])
def test_our_message_reaches_consumers_at_daphne_and_browsers_at_the_gateway_once(
    send, gateway, stack, redis_server, django, browsers, clients
):
    name = send.__name__.replace("_", "-")
    tabs = [browsers(name), browsers(name)]  # two members of the group behind one key of channels_redis
    sent = said(3.5, text="grün 🔔", big=2**53 + 1, float=12.0, nested={"list": [None, True, {}]})
    send(gateway, stack, redis_server, f"{name}isInsufficient", sent)
    django.do("group_send", f"{name}isInsufficient", said(0.25))
    for tab in tabs:
        (at_daphne,) = heard_at_consumer(clients, tab.theirs, "0.25")
        assert exactly(json.dumps(at_daphne)) == exactly(json.dumps(sent))
        assert [exactly(text) for text in tab.ours.until("0.25")] == [exactly(json.dumps(sent))]


@each_stack()
def test_a_message_without_a_type_is_for_browsers_and_ends_no_consumer(stack, redis_server, django, browsers, clients):
    user, redis = browsers("untyped"), redis_server.client()
    for message in {"balance": 1.5}, said(3.5):
        redis.fcall("group_send", 1, stack.group_key("untypedisInsufficient"), json.dumps(message))
    django.do("group_send", "untypedisInsufficient", said(0.25))
    assert heard_at_consumer(clients, user.theirs, "0.25") == [said(3.5)]
    assert [json.loads(text) for text in user.ours.until("0.25")] == [{"balance": 1.5}, said(3.5)]


@each_stack()
def test_50_messages_that_pile_up_for_daphne_s_consumer_keep_their_order(
    stack, redis_server, daphne, django, browsers, clients
):
    user, redis = browsers("many"), redis_server.client()
    sent = [said(number // 2) for number in range(50)]
    with standing_still(daphne):
        for message in sent:
            redis.fcall("group_send", 1, stack.group_key("manyisInsufficient"), json.dumps(message))
        django.do("group_send", "manyisInsufficient", said(0.25))
    assert heard_at_consumer(clients, user.theirs, "0.25") == sent


# One connection, and the worker ---------------------------------------------------------------------------------------


def soon(socket, count):
    """The first messages, in whatever order: a connection's own way and its groups' are different ones."""
    return sorted(socket.wait(count, timeout=3))


@each_stack()
def test_a_browser_at_daphne_is_answered_by_the_worker(worker, daphne, clients):
    (socket,) = clients.open(daphne.url("/ask"))
    socket.send(json.dumps({"type": "reply", "message": {"type": "answer", "text": "to you"}}))
    assert json.loads(socket.wait(1)[0]) == {"type": "answer", "text": "to you"}


@each_stack()
def test_the_worker_tells_a_group_at_the_gateway_as_at_daphne(worker, django, browsers):
    user = browsers("told")
    django.send("tasks", {"type": "tell", "group": "toldisInsufficient", "message": said(3.5)})
    for socket in user.ours, user.theirs:
        assert exactly(socket.wait(1)[0]) == exactly(json.dumps(said(3.5)))


@each_stack()
def test_django_sends_to_one_connection_at_the_gateway(django, gateway, clients, channel_of):
    (one,) = clients.open(gateway.url("/ws/single"))
    channel = channel_of("single")
    (other,) = clients.open(gateway.url("/ws/single"))
    django.send(channel, {"type": "receive", "text": "to you"})
    django.do("group_send", "single", {"type": "receive", "text": "to all"})
    assert [json.loads(text)["text"] for text in soon(one, 2)] == ["to all", "to you"]
    assert other.until("to all") == []


@each_stack()
def test_the_worker_answers_one_connection_at_the_gateway(worker, django, gateway, clients, channel_of):
    (socket,) = clients.open(gateway.url("/ws/asked"))
    task = {"type": "reply", "reply_channel": channel_of("asked"), "message": {"type": "receive", "text": "to you"}}
    django.send("tasks", task)
    assert json.loads(soon(socket, 1)[0]) == {"type": "receive", "text": "to you"}


@each_stack(layers=["core"])  # group_add of the pub/sub layer is for a process' own channels
def test_a_connection_that_django_adds_to_a_group_is_told_until_it_is_discarded(django, gateway, clients, channel_of):
    (socket,) = clients.open(gateway.url("/ws/home"))
    channel = channel_of("home")
    django.do("group_add", "guests", channel)
    django.do("group_send", "guests", {"type": "receive", "text": "welcome"})
    assert json.loads(soon(socket, 1)[0])["text"] == "welcome"
    django.do("group_discard", "guests", channel)
    django.do("group_send", "guests", {"type": "receive", "text": "too late"})
    django.send(channel, {"type": "receive", "text": "goodbye"})  # on the way that "too late" would have taken
    assert [json.loads(text)["text"] for text in socket.until("goodbye")] == ["welcome"]


@each_stack(layers=["core"])
def test_such_a_connection_is_told_what_we_send_to_the_group_and_once_where_it_is_a_member_anyway(
    stack, django, gateway, clients, channel_of, redis_server
):
    (socket,) = clients.open(gateway.url("/ws/residence"))
    channel, redis = channel_of("residence"), redis_server.client()
    for group in "visitors", "residence":
        django.do("group_add", group, channel)
        redis.fcall("group_send", 1, stack.group_key(group), json.dumps({"to": group}))
    django.send(channel, {"type": "receive", "text": "goodbye"})
    assert sorted(json.loads(text)["to"] for text in socket.until("goodbye")) == ["residence", "visitors"]


# From browsers to the worker ------------------------------------------------------------------------------------------


@each_stack()
def test_a_browser_at_the_gateway_is_answered_by_the_worker(worker, gateway, clients):
    """receive: forward:tasks. What the worker is told of the connection, and its answer to the connection alone."""
    one, other = clients.open(gateway.url("/ask/home"), count=2)
    one.send(json.dumps({"do": "answer"}))
    asked = json.loads(one.wait(1)[0])
    assert asked == {
        "type": "answer", "text": '{"do": "answer"}', "user": None, "groups": ["home"], "path": "/ask/home",
        "client": "127.0.0.1"}  # fmt: skip
    one.send(json.dumps({"do": "tell", "group": "home", "message": {"type": "receive", "text": "to all"}}))
    assert json.loads(one.wait(2)[1])["text"] == json.loads(other.wait(1)[0])["text"] == "to all"


@each_stack()
def test_a_browser_s_messages_come_to_the_worker_in_order_and_once(worker, gateway, clients):
    (socket,) = clients.open(gateway.url("/ask/ordered-tasks"))
    for number in range(60):
        socket.send(json.dumps({"do": "count", "number": number}))
    assert [json.loads(text)["number"] for text in socket.wait(60)] == list(range(60))


@each_stack(layers=["core"])
def test_the_worker_puts_the_connection_into_a_group_and_takes_it_out(worker, gateway, clients, stack, redis_server):
    (socket,) = clients.open(gateway.url("/ask/lobby"))
    redis = redis_server.client()
    for number, action in enumerate(["join", "leave"]):
        socket.send(json.dumps({"do": action, "group": "club"}))
        assert json.loads(socket.wait(2 * number + 1)[-1])["done"] == action
        redis.fcall("group_send", 1, stack.group_key("club"), json.dumps({"to": "the club"}))
    socket.send(json.dumps({"do": "count", "number": 1}))
    assert [json.loads(text) for text in socket.until('"number"')] == [
        {"type": "answer", "done": "join"}, {"to": "the club"}, {"type": "answer", "done": "leave"}]  # fmt: skip
