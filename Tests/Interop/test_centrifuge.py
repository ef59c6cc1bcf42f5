"""The centrifuge protocol through its real Python SDK, and by hand for frames that no SDK would send."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from centrifuge import ReplyError, StreamPosition
from harness.clients import RawSocket, frame
from harness.free_port import free_port
from harness.gateway import Gateway, config
from harness.haproxy import HAProxy
from harness.names import own
from harness.redis_server import RedisServer
from harness.sdk import Sdk
from harness.waiting import wait_until

TEXT = 1
PERMISSION_DENIED, ALREADY_SUBSCRIBED, LIMIT, BAD_REQUEST, UNRECOVERABLE = 103, 105, 106, 107, 112
SHUTDOWN, INSUFFICIENT_STATE, NO_PONG, BAD, STALE = 3001, 3010, 3012, 3501, 3502
RESUBSCRIBE = 2500


def settings(**gateway):
    speaks = {"protocol": "centrifuge"}
    return config(
        gateway={"drain_seconds": 2, **gateway},
        routes=[
            *config()["routes"],
            {**speaks, "path": "/connection/websocket", "may_join": ["room.*", "large.*"], "receive": "group_send"},
            {**speaks, "path": "/writer", "may_publish": ["room.write*"], "may_see": ["room.seen*"]},
            {**speaks, "path": "/reader", "may_join": ["room.*"]},
            {**speaks, "path": "/server/{room}", "groups": ["{room}"], "may_join": ["room.*"]},
            {**speaks, "path": "/user", "auth": "lb", "groups": ["{user}.inbox"], "may_join": ["{user}.*"]},
            {**speaks, "path": "/named", "auth": "lb", "may_join": ["room.*"]},
        ],
        groups=[
            {"match": "large.*", "history": {"size": 100_000}},
            {"match": "room.comings", "history": {"size": 10}, "join_leave": True},
        ],
    )


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one", settings()) as one, Gateway(redis_server.url, "two", settings()) as two:
        yield one, two


@pytest.fixture
def sdk():
    with Sdk() as sdk:
        yield sdk


@pytest.fixture
def client(sdk, gateways):
    return sdk.connect(gateways[0].url("/connection/websocket"))


def group_send(redis, group, message, *options):
    text = json.dumps(message if isinstance(message, dict) else {"n": message})
    return redis.fcall("group_send", 1, f"asgi:group:{group}", text, *options)[0].decode()


def epoch_and_offset(position):
    epoch, offset = position.rsplit(":", 1)
    return epoch, int(offset)


def refused(call, *arguments, **options):
    """Returns the error code of a command that the server refused."""
    with pytest.raises(ReplyError) as error:
        call(*arguments, **options)
    return error.value.code


def numbers(data):
    return [one["n"] for one in data]


# Connecting and subscribing -------------------------------------------------------------------------------------------


def test_connect_names_the_connection(sdk, gateways):
    one, two = (sdk.connect(gateway.url("/connection/websocket")) for gateway in gateways)
    assert one.id and two.id and one.id != two.id
    assert one.connected[0].version


def test_the_route_s_groups_are_subscribed_by_the_server(sdk, gateways, redis):
    position = group_send(redis, "served", 0)
    client = sdk.connect(gateways[0].url("/server/served"))
    channel = client.channel("served")
    context = channel.wait_subscribed()
    assert context.recoverable and context.positioned and not context.was_recovering
    assert (context.stream_position.epoch, context.stream_position.offset) == epoch_and_offset(position)
    group_send(redis, "served", 1)
    assert numbers(channel.wait(1)) == [1]
    assert channel.offsets == [2]


def test_subscribe_and_publish_reach_everybody_with_the_type_forced(sdk, gateways, clients, client):
    other = sdk.connect(gateways[1].url("/connection/websocket"))
    (plain,) = clients.open(gateways[1].url("/ws/room.publish"))
    rooms = [each.subscribe("room.publish") for each in (client, other)]
    assert rooms[0].subscribed[0].recoverable
    client.publish("room.publish", {"type": "chat.method", "text": "ü\n\"'", "deep": [1, {"a": None}], "big": 2**53})
    expected = {"text": "ü\n\"'", "deep": [1, {"a": None}], "big": 2**53, "type": "receive"}
    assert [room.wait(1) for room in rooms] == [[expected]] * 2
    assert json.loads(plain.wait(1)[0]) == expected
    assert json.loads(plain.messages[0], object_pairs_hook=lambda pairs: pairs).count(("type", "receive")) == 1


@pytest.mark.parametrize("data", ["text", 1, 1.5, True, [1], [{"a": 1}]])
def test_only_an_object_can_be_published(client, data):
    assert refused(client.publish, "room.objects", data) == BAD_REQUEST


def test_offsets_run_without_holes(client, redis):
    room = client.subscribe("room.offsets")
    positions = [group_send(redis, "room.offsets", n) for n in range(5)]
    assert numbers(room.wait(5)) == list(range(5))
    assert room.offsets == [epoch_and_offset(position)[1] for position in positions] == [1, 2, 3, 4, 5]
    assert room.subscribed[0].stream_position.epoch == epoch_and_offset(positions[0])[0]


def test_outside_may_join_everything_is_denied_whether_it_exists_or_not(client, redis):
    group_send(redis, "secret", 1)
    for channel in ("secret", "absent"):
        assert client.subscribe(channel).unsubscribed == [(PERMISSION_DENIED, "permission denied")]
        assert refused(client.publish, channel, {}) == PERMISSION_DENIED
        assert refused(client.presence, channel) == PERMISSION_DENIED
        assert refused(client.presence_stats, channel) == PERMISSION_DENIED
        assert refused(client.history, channel, limit=1) == PERMISSION_DENIED


def test_a_route_that_only_reads_denies_publishing(sdk, gateways):
    reader = sdk.connect(gateways[0].url("/reader"))
    assert reader.subscribe("room.read").subscribed
    assert refused(reader.publish, "room.read", {"a": 1}) == PERMISSION_DENIED


def test_publishing_and_seeing_are_permissions_of_their_own(sdk, gateways, redis):
    writer = sdk.connect(gateways[0].url("/writer"))
    listener = sdk.connect(gateways[1].url("/reader")).subscribe("room.write")
    listener.wait(0)
    writer.publish("room.write", {"n": 1})
    assert len(listener.wait(1)) == 1
    assert refused(writer.publish, "room.other", {"n": 1}) == PERMISSION_DENIED
    assert writer.subscribe("room.write").unsubscribed == [(PERMISSION_DENIED, "permission denied")]
    assert refused(writer.history, "room.write", limit=1) == PERMISSION_DENIED
    group_send(redis, "room.seen", 1)
    assert len(writer.history("room.seen", limit=1).publications) == 1
    assert writer.presence("room.seen").clients == {}


BAD_NAMES = ["room.with space", "room.ü", "room.a:b", "room.a/b", "room.*", "room." + "x" * 95, "room.\n", "room.\0"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_no_group_can_have_is_a_bad_request(client, name):
    assert client.subscribe(name).unsubscribed[0][0] == BAD_REQUEST
    assert refused(client.presence, name) == BAD_REQUEST
    assert refused(client.publish, name, {}) == BAD_REQUEST


def test_the_longest_name_is_99_characters(client):
    name = "room." + "x" * 94
    assert client.subscribe(name).subscribed


def test_unsubscribe_ends_the_pushes_and_the_presence(client, redis):
    room, other = client.subscribe("room.left"), client.subscribe("room.stays")
    group_send(redis, "room.left", 1)
    room.wait(1)
    client.unsubscribe(room)
    wait_until(lambda: client.presence_stats("room.left").num_clients == 0, 5, "gone from the roster")
    group_send(redis, "room.left", 2)
    group_send(redis, "room.stays", 3)
    other.wait(1)
    assert numbers(room.data) == [1]
    sub = room.subscription
    client._sdk.run(sub.subscribe())
    # The SDK has kept its position: the messages sent in the meantime follow.
    assert room.wait_subscribed(2).recovered
    group_send(redis, "room.left", 4)
    assert numbers(room.wait(3)) == [1, 2, 4]


def test_many_clients_on_two_gateways_hear_the_same(sdk, gateways, redis):
    rooms = [sdk.connect(gateways[n % 2].url("/connection/websocket")).subscribe("room.crowd") for n in range(20)]
    for n in range(50):
        group_send(redis, "room.crowd", n)
    assert [numbers(room.wait(50)) for room in rooms] == [list(range(50))] * 20
    assert redis.fcall("group_send", 1, "asgi:group:room.crowd", "{}")[1] == 2


# Presence -------------------------------------------------------------------------------------------------------------


def test_presence_names_every_client_of_every_gateway_and_its_user(sdk, gateways):
    users = ["7", "7", 'o\'neil "\\" 8']
    url = [gateway.url("/named") for gateway in gateways]
    people = [sdk.connect(url[n % 2], headers={"X-Remote-User": user}) for n, user in enumerate(users)]
    nobody = sdk.connect(gateways[0].url("/connection/websocket"))
    for each in (*people, nobody):
        each.subscribe("room.presence")
    found = nobody.presence("room.presence").clients
    assert {key: (info.client, info.user) for key, info in found.items()} == {
        people[0].id: (people[0].id, "7"),
        people[1].id: (people[1].id, "7"),
        people[2].id: (people[2].id, users[2]),
        nobody.id: (nobody.id, ""),
    }
    stats = nobody.presence_stats("room.presence")
    assert (stats.num_clients, stats.num_users) == (4, 3)
    people[0].disconnect()
    wait_until(lambda: nobody.presence_stats("room.presence").num_clients == 3, 5, "gone from the roster")
    assert people[0].id not in nobody.presence("room.presence").clients


def test_a_user_has_the_groups_of_its_own(sdk, gateways, redis):
    user = sdk.connect(gateways[0].url("/user"), headers={"X-Remote-User": "42"})
    assert user.channel("42.inbox").wait_subscribed()
    assert user.subscribe("42.alerts").subscribed
    assert user.subscribe("43.alerts").unsubscribed[0][0] == PERMISSION_DENIED
    assert user.subscribe("43.inbox").unsubscribed[0][0] == PERMISSION_DENIED
    group_send(redis, "42.inbox", 1)
    assert numbers(user.channel("42.inbox").wait(1)) == [1]


def test_a_policy_has_comings_and_goings_told(sdk, gateways, client):
    room = client.subscribe("room.comings")
    second = sdk.connect(gateways[1].url("/connection/websocket"))
    second.subscribe("room.comings")
    sdk.wait_for(lambda: ("join", second.id) in room.comings, 5, lambda: f"the join: {room.comings}")
    left = second.id
    second.disconnect()
    sdk.wait_for(lambda: ("leave", left) in room.comings, 5, lambda: f"the leave: {room.comings}")
    assert room.comings.index(("join", left)) < room.comings.index(("leave", left))


# History --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(redis, client):
    """A separate channel for each test, with ten messages: its name and the last position."""
    name = f"large.history-{client.id}"
    for n in range(1, 11):
        position = group_send(redis, name, n)
    return name, *epoch_and_offset(position)


def found(result):
    return [(publication.offset, publication.data["n"]) for publication in result.publications]


def both(*offsets):
    return [(n, n) for n in offsets]


def test_history_without_a_limit_is_the_position(client, logged):
    name, epoch, offset = logged
    result = client.history(name)
    assert (result.epoch, result.offset, result.publications) == (epoch, offset, [])


@pytest.mark.parametrize(("limit", "offsets"), [(1, [1]), (3, [1, 2, 3]), (10, range(1, 11)), (99, range(1, 11))])
def test_history_gives_the_oldest_up_to_a_limit(client, logged, limit, offsets):
    name, epoch, offset = logged
    result = client.history(name, limit=limit)
    assert found(result) == both(*offsets)
    assert (result.epoch, result.offset) == (epoch, offset), "the channel's position, not the page's"


def test_history_gives_everything(client, logged):
    assert found(client.history(logged[0], limit=-1)) == both(*range(1, 11))


@pytest.mark.parametrize(
    ("since", "limit", "offsets"),
    [(0, -1, range(1, 11)), (4, -1, range(5, 11)), (4, 2, [5, 6]), (9, 5, [10]), (10, -1, []), (4, 0, [])],
)
def test_history_since_a_position(client, logged, since, limit, offsets):
    name, epoch, _ = logged
    assert found(client.history(name, limit=limit, since=StreamPosition(since, epoch))) == both(*offsets)


@pytest.mark.parametrize(("limit", "offsets"), [(3, [10, 9, 8]), (-1, range(10, 0, -1)), (99, range(10, 0, -1))])
def test_history_backwards(client, logged, limit, offsets):
    assert found(client.history(logged[0], limit=limit, reverse=True)) == both(*offsets)


def test_history_backwards_since_a_position_gives_what_was_before_it(client, logged):
    name, epoch, _ = logged
    assert found(client.history(name, limit=2, since=StreamPosition(5, epoch), reverse=True)) == both(4, 3)


def test_history_backwards_begins_at_the_end_of_a_long_log(client, redis):
    name = f"large.long-{client.id}"
    pipeline = redis.pipeline(transaction=False)
    for n in range(1, 1501):
        pipeline.fcall("group_send", 1, f"asgi:group:{name}", f'{{"n":{n}}}')
    pipeline.execute()
    assert found(client.history(name, limit=3, reverse=True)) == both(1500, 1499, 1498)
    # Page after page, the whole log.
    epoch, seen = client.history(name).epoch, []
    while page := found(client.history(name, limit=400, since=StreamPosition(len(seen), epoch))):
        seen += page
    assert seen == both(*range(1, 1501))


@pytest.mark.parametrize("length", [256 << 10, 1 << 20])
def test_history_backwards_over_large_messages_reads_little_more_than_it_answers(client, redis, length):
    name = f"large.heavy-{client.id}"
    for n in range(1, 41):
        redis.fcall("group_send", 1, f"asgi:group:{name}", f'{{"n":{n},"pad":"{"x" * (length - 40)}"}}')
    before = redis.info("stats")["total_net_output_bytes"]
    assert found(client.history(name, limit=1, reverse=True)) == both(40)
    assert redis.info("stats")["total_net_output_bytes"] - before < 2 * length
    # A response is bounded in bytes.
    before = redis.info("stats")["total_net_output_bytes"]
    answered = found(client.history(name, limit=-1, reverse=True))
    assert answered == both(*range(40, 40 - len(answered), -1)) and 1 << 20 <= len(answered) * length <= 2 << 20
    assert redis.info("stats")["total_net_output_bytes"] - before < 8 << 20
    redis.delete(own(f"log:{name}"))


def test_history_backwards_goes_on_before_messages_that_have_expired(client, redis):
    name = f"large.expired-{client.id}"
    for n in range(1, 61):
        redis.fcall("group_send", 1, f"asgi:group:{name}", f'{{"n":{n}}}')
    entries = redis.xrange(own(f"log:{name}"))
    redis.delete(own(f"log:{name}"))
    for n, (id, fields) in enumerate(entries, 1):
        redis.xadd(own(f"log:{name}"), fields | ({b"x": 1} if n > 10 else {}), id=id)
    assert found(client.history(name, limit=3, reverse=True)) == both(10, 9, 8)


@pytest.mark.parametrize("wrong", ["epoch", "no epoch", "ahead", "trimmed"])
def test_history_since_a_position_that_cannot_be_continued_from(client, redis, logged, wrong):
    name, epoch, offset = logged
    since = {
        "epoch": StreamPosition(4, "00000000." + epoch.split(".")[1]),
        "no epoch": StreamPosition(4, "anything"),
        "ahead": StreamPosition(offset + 1, epoch),
        "trimmed": StreamPosition(4, epoch),
    }[wrong]
    if wrong == "trimmed":
        redis.xtrim(own(f"log:{name}"), maxlen=2, approximate=False)
    assert refused(client.history, name, limit=-1, since=since) == UNRECOVERABLE


def test_history_of_a_trimmed_log_is_what_is_left(client, redis, logged):
    redis.xtrim(own(f"log:{logged[0]}"), maxlen=2, approximate=False)
    assert found(client.history(logged[0], limit=-1)) == both(9, 10)


def test_history_leaves_out_what_has_expired(client, redis, logged):
    name, *_ = logged
    group_send(redis, name, 11, "TTL", "1")
    group_send(redis, name, 12)
    sent_at = redis.time()[0]
    wait_until(lambda: redis.time()[0] > sent_at + 1, 5, "Redis' clock has passed the expiry")
    result = client.history(name, limit=-1)
    assert found(result) == both(*range(1, 11), 12)
    assert result.offset == 12


# Recovery -------------------------------------------------------------------------------------------------------------


class Publisher:
    """Sends n = 0, 1, 2, … to groups, several hundred a second, and a last message that marks the end."""

    def __init__(self, redis_server, *groups):
        self.sent = 0
        self._client, self._groups = redis_server.client(), groups
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            for group in self._groups:
                group_send(self._client, group, self.sent)
            self.sent += 1
            time.sleep(0.001)  # the rate; waits for no condition

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for group in self._groups:
            group_send(self._client, group, {"end": True})


def test_a_killed_gateway_loses_nothing(redis_server, sdk):
    groups = ["large.killed", "large.killed-too"]
    with (
        Gateway(redis_server.url, "left", settings()) as left,
        Gateway(redis_server.url, "right", settings()) as right,
        HAProxy([left, right]) as proxy,
    ):
        own_choice = sdk.connect(proxy.url("/connection/websocket"))
        by_server = sdk.connect(proxy.url(f"/server/{groups[0]}"))
        assert {g.metric("tocsin_connections") for g in (left, right)} == {1}, "one at each, whichever dies"
        rooms = [own_choice.subscribe(group) for group in groups]
        with Publisher(redis_server, *groups) as publisher:
            rooms[0].wait(100)
            left.kill()
            sdk.wait_for(lambda: max(len(own_choice.connected), len(by_server.connected)) == 2, 10)
            sdk.wait_for(lambda more=publisher.sent: publisher.sent > more + 50, 10)
        served = by_server.channel(groups[0])
        for channel in (*rooms, served):
            assert numbers(channel.until("end")) == list(range(publisher.sent))
            assert channel.offsets == list(range(1, publisher.sent + 2))
        moved = rooms if len(own_choice.connected) == 2 else [served]
        for channel in moved:
            again = channel.wait_subscribed(2)
            assert again.was_recovering and again.recovered


def test_connections_that_are_cut_again_and_again_hear_everything_once_and_in_order(redis_server, sdk, gateways):
    groups = ["large.cut", "large.cut-too"]
    client = sdk.connect(gateways[0].url("/connection/websocket"))
    server = sdk.connect(gateways[1].url(f"/server/{groups[0]}"))
    channels = [*(client.subscribe(group) for group in groups), server.channel(groups[0])]
    server.channel(groups[0]).wait_subscribed()
    with Publisher(redis_server, *groups):
        for times in range(2, 7):
            for each in (client, server):
                each.cut()
                each.wait_connected(times)
    for channel in channels:
        data = channel.until("end")
        assert numbers(data) == list(range(len(data)))
        assert channel.offsets == list(range(1, len(data) + 2))
        assert len(channel.subscribed) == 6
        assert all(context.recovered for context in channel.subscribed[1:])


def test_a_client_that_missed_more_than_one_reply_holds_recovers_all_of_it(redis, sdk, gateways, client):
    room = client.subscribe("large.long-away")
    group_send(redis, "large.long-away", 0)
    room.wait(1)
    client.disconnect()
    pipeline = redis.pipeline(transaction=False)
    for n in range(1, 2001):
        pipeline.fcall("group_send", 1, "asgi:group:large.long-away", f'{{"n":{n}}}')
    pipeline.execute()
    sdk.run(client._client.connect())
    assert numbers(room.wait(2001)) == list(range(2001))
    assert room.subscribed[1].recovered


def test_what_was_trimmed_is_not_called_recovered(redis, sdk, gateways, client):
    room = client.subscribe("large.trimmed")
    client.disconnect()
    for n in range(20):
        group_send(redis, "large.trimmed", n)
    redis.xtrim(own("log:large.trimmed"), maxlen=5, approximate=False)
    sdk.run(client._client.connect())
    again = room.wait_subscribed(2)
    assert again.was_recovering and not again.recovered
    group_send(redis, "large.trimmed", 20)
    assert numbers(room.wait(1)) == [20]


# Redis is lost --------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone():
    """A separate Redis, which a test may stop or empty, and a gateway. Its port stays reserved while it is down."""
    server = RedisServer(aof=True)
    server.port = free_port()
    with server, Gateway(server.url, "alone", settings()) as gateway:
        yield server, gateway


def test_after_flushall_nobody_is_told_recovered(alone, sdk):
    server, gateway = alone
    room = sdk.connect(gateway.url("/connection/websocket")).subscribe("room.flushed")
    connection = sdk.connect(gateway.url("/server/flushed"))
    served = connection.channel("flushed")
    served.wait_subscribed()
    redis = server.client()
    for n in range(3):
        group_send(redis, "room.flushed", n)
        group_send(redis, "flushed", n)
    room.wait(3)
    served.wait(3)
    redis.flushall()
    group_send(redis, "room.flushed", 3)
    group_send(redis, "flushed", 3)
    for channel in (room, served):
        again = channel.wait_subscribed(2)
        assert again.was_recovering and not again.recovered
    assert room.subscribing[-1][0] == RESUBSCRIBE
    assert connection.connecting[-1][0] == INSUFFICIENT_STATE
    group_send(redis, "room.flushed", 4)
    group_send(redis, "flushed", 4)
    for channel in (room, served):
        sdk.wait_for(lambda c=channel: c.data and c.data[-1]["n"] == 4)
        assert numbers(channel.data)[:3] == [0, 1, 2]
        assert channel.data.count({"n": 4}) == 1


def test_after_a_restart_of_redis_with_its_log_everything_is_recovered(alone, sdk):
    server, gateway = alone
    room = sdk.connect(gateway.url("/connection/websocket")).subscribe("room.restarted")
    connection = sdk.connect(gateway.url("/server/restarted"))
    served = connection.channel("restarted")
    served.wait_subscribed()
    for n in range(3):
        group_send(server.client(), "room.restarted", n)
        group_send(server.client(), "restarted", n)
    room.wait(3)
    served.wait(3)
    before = room.subscribed[0].stream_position.epoch
    server.stop()
    wait_until(lambda: gateway.readyz() == 503, 10, "the gateway has noticed")
    server.start()
    wait_until(lambda: gateway.readyz() == 200, 10, "the gateway is back")
    for n in range(3, 6):
        group_send(server.client(), "room.restarted", n)
        group_send(server.client(), "restarted", n)
    for channel in (room, served):
        assert numbers(channel.wait(6)) == list(range(6))
        again = channel.wait_subscribed(2)
        assert again.was_recovering and again.recovered
        assert again.stream_position.epoch != before
    # Recovers again from the new epoch.
    connection.cut()
    connection.wait_connected(3)
    assert served.wait_subscribed(3).recovered
    group_send(server.client(), "restarted", 6)
    assert numbers(served.wait(7)) == list(range(7))
    assert len(room.subscribed) == 2


def test_while_redis_is_away_the_sdk_tries_on_and_recovers(alone, sdk):
    server, gateway = alone
    connection = sdk.connect(gateway.url("/server/away"))
    served = connection.channel("away")
    served.wait_subscribed()
    server.stop()
    wait_until(lambda: gateway.readyz() == 503, 10, "the gateway has noticed")
    connection.cut()
    sdk.wait_for(lambda: len(connection.connecting) == 2)
    server.start()
    wait_until(lambda: gateway.readyz() == 200, 10, "the gateway is back")
    group_send(server.client(), "away", 1)
    connection.wait_connected(2)
    assert served.wait_subscribed(2).recovered
    assert numbers(served.wait(1)) == [1]


# Draining -------------------------------------------------------------------------------------------------------------


def test_drain_is_3001_and_the_sdk_goes_on_elsewhere(redis_server, redis, sdk):
    with (
        Gateway(redis_server.url, "leaving", settings()) as leaving,
        Gateway(redis_server.url, "staying", settings()) as staying,
        HAProxy([leaving, staying]) as proxy,
    ):
        connections = [sdk.connect(proxy.url("/server/large.drained")) for _ in range(6)]
        channels = [connection.channel("large.drained") for connection in connections]
        for channel in channels:
            channel.wait_subscribed()
        with Publisher(redis_server, "large.drained"):
            leaving.signal(signal.SIGTERM)
            assert leaving.wait() == 0
            sdk.wait_for(lambda: sum(len(connection.connected) for connection in connections) == 9)
        for channel in channels:
            data = channel.until("end")
            assert numbers(data) == list(range(len(data)))
        moved = [connection for connection in connections if len(connection.connected) == 2]
        assert len(moved) == 3
        assert [connection.connecting[1:] for connection in moved] == [[(SHUTDOWN, "shutdown")]] * 3
        assert all(connection.channel("large.drained").subscribed[1].recovered for connection in moved)
        assert not any(connection.disconnected for connection in connections)


# By hand --------------------------------------------------------------------------------------------------------------


class Raw(RawSocket):
    """Commands and replies as they are on the wire."""

    def __init__(self, gateway, path="/connection/websocket"):
        super().__init__(gateway.port, path)
        assert self.status == 101
        self._replies = []

    def say(self, *commands):
        """Sends one frame with one command per line."""
        lines = [command if isinstance(command, str) else json.dumps(command) for command in commands]
        self.send(frame(TEXT, "\n".join(lines).encode()))

    def reply(self):
        """The next reply or push; None when the connection is closed."""
        while not self._replies:
            one = self.frame()
            if one is None or one[0] == 8:
                return None
            if one[0] == TEXT:
                self._replies = [json.loads(line) for line in one[1].split(b"\n") if line]
        return self._replies.pop(0)

    def reply_to(self, id):
        """Returns the reply to a command and skips everything before it."""
        while (reply := self.reply()) is not None:
            if reply.get("id") == id:
                return reply
        raise AssertionError(f"the connection was closed before command {id} was answered")

    def connect(self):
        self.say({"id": 1, "connect": {}})
        return self.reply_to(1)["connect"]


def subscribe(id, channel, **options):
    return {"id": id, "subscribe": {"channel": channel, **options}}


@pytest.fixture
def raw(gateways):
    with Raw(gateways[0]) as raw:
        raw.connect()
        yield raw


def test_a_frame_holds_many_commands_and_each_is_answered(gateways):
    # What centrifuge-js does on every connect: it sends its subscriptions directly after it.
    with Raw(gateways[0], "/server/batch") as raw:
        raw.say({"id": 1, "connect": {}}, subscribe(2, "room.a"), subscribe(3, "room.b"), {"id": 4, "ping": {}})
        replies = [raw.reply() for _ in range(4)]
        assert replies[0]["id"] == 1 and "batch" in replies[0]["connect"]["subs"]
        assert sorted(reply["id"] for reply in replies[1:]) == [2, 3, 4]
        assert not any("error" in reply for reply in replies)


def test_empty_lines_between_commands_are_nothing(raw):
    raw.say("", {"id": 2, "ping": {}}, "", " ", {"id": 3, "ping": {}}, "")
    assert [raw.reply(), raw.reply()] == [{"id": 2, "ping": {}}, {"id": 3, "ping": {}}]


def test_commands_to_one_channel_are_done_in_their_order(raw, redis):
    name = {"channel": "room.order"}
    raw.say(
        subscribe(2, "room.order"), {"id": 3, "unsubscribe": name}, subscribe(4, "room.order"),
        {"id": 5, "unsubscribe": name}, subscribe(6, "room.order"), subscribe(7, "room.order"),
    )  # fmt: skip
    replies = [raw.reply() for _ in range(6)]
    assert [reply["id"] for reply in replies] == [2, 3, 4, 5, 6, 7]
    assert [reply.get("error", {}).get("code") for reply in replies] == [None] * 5 + [ALREADY_SUBSCRIBED]
    group_send(redis, "room.order", 1)
    group_send(redis, "room.order", 2)
    pushed = [raw.reply()["push"]["pub"] for _ in range(2)]
    assert [(pub["offset"], pub["data"]["n"]) for pub in pushed] == [(1, 1), (2, 2)]


def test_a_second_subscription_to_a_channel_is_an_error(gateways):
    with Raw(gateways[0], "/server/room.mine") as raw:
        raw.connect()
        raw.say(subscribe(2, "room.other"))
        assert "subscribe" in raw.reply_to(2)
        for channel in ("room.other", "room.mine"):
            raw.say(subscribe(3, channel))
            assert raw.reply_to(3)["error"] == {"code": ALREADY_SUBSCRIBED, "message": "already subscribed"}


def test_the_129th_subscription_is_one_too_many(raw):
    # One batch, in which no command is done when the next one is read.
    raw.say(*(subscribe(n, f"room.limit-{n}") for n in range(1, 131)))
    replies = {reply["id"]: reply for reply in (raw.reply() for _ in range(130))}
    assert [id for id, reply in replies.items() if "error" in reply] == [129, 130]
    assert replies[129]["error"]["code"] == LIMIT
    raw.say({"id": 200, "unsubscribe": {"channel": "room.limit-5"}}, subscribe(201, "room.limit-131"))
    assert "subscribe" in raw.reply_to(201)


def test_what_it_does_not_know_is_answered_and_what_wants_no_answer_is_not(raw):
    raw.say(
        {"id": 2, "rpc": {"method": "x"}}, {"id": 3, "refresh": {"token": "x"}}, {"id": 4, "sub_refresh": {}},
        {"id": 5, "future": {}}, {"send": {"data": {}}}, {"id": 6, "ping": {}},
    )  # fmt: skip
    codes = [(reply["id"], reply.get("error", {}).get("code")) for reply in (raw.reply() for _ in range(5))]
    assert codes == [(2, 104), (3, 108), (4, 108), (5, 104), (6, None)]


def test_fields_that_nobody_asked_for_are_ignored(gateways):
    with Raw(gateways[0]) as raw:
        raw.say('{"id":1,"connect":{"token":"x","data":{"a":[1]},"name":"js","version":"1","headers":{"a":"b"}},"x":0}')
        assert raw.reply_to(1)["connect"]["pong"] is True
        raw.say(subscribe(2, "room.x", token="t", data={}, positioned=True, recoverable=True, join_leave=True, flag=1))
        assert "subscribe" in raw.reply_to(2)


BEFORE_CONNECT = {
    "no JSON": "hello",
    "half of it": '{"id":1,"connect":{',
    "a list": "[]",
    "a second object behind the first": '{"id":1,"connect":{}} {}',
    "another command first": '{"id":1,"subscribe":{"channel":"room.a"}}',
    "connect without id": '{"connect":{}}',
    "nothing known": '{"id":1}',
}


@pytest.mark.parametrize("text", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT)
def test_garbage_before_connect_is_3501(gateways, text):
    with Raw(gateways[0]) as raw:
        raw.say(text)
        assert raw.close_code() == BAD


AFTER_CONNECT = {
    "no JSON": "hello",
    "connect again": '{"id":2,"connect":{}}',
    "a command without id": '{"subscribe":{"channel":"room.a"}}',
    "garbage behind a command": '{"id":2,"ping":{}}\nhello',
}


@pytest.mark.parametrize("text", AFTER_CONNECT.values(), ids=AFTER_CONNECT)
def test_garbage_after_connect_is_3501(raw, text):
    raw.say(text)
    assert raw.close_code() == BAD


@pytest.mark.slow
def test_the_server_pings_closes_the_silent_and_closes_the_deaf(gateways, redis):
    """Three clients at the same time, because each takes long: one never connects, one never answers pings, one does both."""
    with Raw(gateways[0]) as silent, Raw(gateways[0]) as deaf, Raw(gateways[0]) as good:
        began = time.monotonic()
        assert deaf.connect()["ping"] == 25
        good.connect()
        good.say(subscribe(2, "room.ping"))
        good.reply_to(2)

        codes = {}

        def listen(name, raw):
            codes[name] = (raw.close_code(40), time.monotonic() - began)

        listeners = [threading.Thread(target=listen, args=each) for each in (("silent", silent), ("deaf", deaf))]
        for listener in listeners:
            listener.start()
        pings = []
        good.tcp.settimeout(40)
        while len(pings) < 2:
            assert good.reply() == {}
            pings.append(time.monotonic() - began)
            good.say({})
        for listener in listeners:
            listener.join()
        assert codes["silent"][0] == STALE
        assert 8 < codes["silent"][1] < 13
        assert codes["deaf"][0] == NO_PONG
        assert pings[0] + 6 < codes["deaf"][1] < pings[0] + 11
        # An SDK waits 25 s and a margin for the next ping.
        assert pings[0] < 27
        assert 22 < pings[1] - pings[0] < 28
        group_send(redis, "room.ping", 1)
        assert good.reply()["push"]["pub"]["data"] == {"n": 1}


# A slow reader --------------------------------------------------------------------------------------------------------


def publish_much(redis, group, first, count, padding="x" * 10_000):
    pipeline = redis.pipeline(transaction=False)
    for n in range(first, first + count):
        pipeline.fcall("group_send", 1, f"asgi:group:{group}", f'{{"n":{n},"padding":"{padding}"}}')
        if n % 100 == 99:
            pipeline.execute()
    pipeline.execute()


def pushed(raw, last):
    """The numbers pushed up to the last one."""
    heard = []
    while not heard or heard[-1] != last:
        reply = raw.reply()
        assert reply is not None, f"closed after {heard[-3:]}"
        if "pub" in reply.get("push", {}):
            heard.append(reply["push"]["pub"]["data"]["n"])
    return heard


def test_who_stops_to_read_gets_everything_afterwards(gateways, redis):
    behind = gateways[0].metric("tocsin_sessions_behind_total")
    with Raw(gateways[0]) as raw:
        raw.connect()
        raw.say(subscribe(2, "large.slow"))
        raw.reply_to(2)
        publish_much(redis, "large.slow", 0, 1500)
        wait_until(lambda: gateways[0].metric("tocsin_sessions_behind_total") > behind, 10, "it has fallen behind")
        assert pushed(raw, 1499) == list(range(1500))
        group_send(redis, "large.slow", 1500)
        assert pushed(raw, 1500) == [1500]


def resident_bytes(process):
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_who_asks_much_and_reads_nothing_is_answered_as_it_reads(gateways, redis):
    publish_much(redis, "large.asked", 0, 100)
    before = resident_bytes(gateways[0])
    with Raw(gateways[0]) as raw:
        raw.connect()
        # 100 responses of 1 MB: first as one batch, then one by one.
        raw.say(*({"id": id, "history": {"channel": "large.asked", "limit": -1}} for id in range(2, 52)))
        for id in range(52, 102):
            raw.say({"id": id, "history": {"channel": "large.asked", "limit": -1}})
        # Other clients are served in the meantime.
        with Raw(gateways[0]) as other:
            other.connect()
            other.say({"id": 2, "history": {"channel": "large.asked", "limit": 1}})
            other.reply_to(2)
        assert resident_bytes(gateways[0]) - before < 32 << 20
        replies = [raw.reply() for _ in range(100)]
    assert sorted(reply["id"] for reply in replies) == list(range(2, 102))
    assert {len(reply["history"]["publications"]) for reply in replies} == {100}


def test_who_stops_to_read_over_a_restart_of_redis_recovers(alone):
    server, gateway = alone
    with Raw(gateway) as raw:
        raw.connect()
        raw.say(subscribe(2, "large.slow"))
        position = raw.reply_to(2)["subscribe"]
        publish_much(server.client(), "large.slow", 0, 1500)
        wait_until(lambda: gateway.metric("tocsin_sessions_behind_total") == 1, 10, "it has fallen behind")
        server.stop()
        wait_until(lambda: gateway.readyz() == 503, 10, "the gateway has noticed")
        server.start()
        wait_until(lambda: gateway.readyz() == 200, 10, "the gateway is back")
        publish_much(server.client(), "large.slow", 1500, 100)
        heard = []
        while "unsubscribe" not in (reply := raw.reply()).get("push", {}):
            if "pub" in reply.get("push", {}):
                heard.append(reply["push"]["pub"]["data"]["n"])
        assert heard == list(range(len(heard)))
        assert reply["push"]["unsubscribe"]["code"] == RESUBSCRIBE
        # Resubscribes from the last publication seen, as an SDK does.
        raw.say(subscribe(3, "large.slow", recover=True, epoch=position["epoch"], offset=len(heard)))
        again = raw.reply_to(3)["subscribe"]
        assert again["recovered"] and again["epoch"] != position["epoch"]
        heard += [publication["data"]["n"] for publication in again.get("publications", [])]
        if heard[-1] != 1599:
            heard += pushed(raw, 1599)
        assert heard == list(range(1600))
    assert gateway.running
