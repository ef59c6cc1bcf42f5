"""The admin port's HTTP API and tocsin kick, against running gateways."""

import json
import time

import pytest
from harness.clients import exactly
from harness.event_stream import EventStreams
from harness.free_port import free_port
from harness.gateway import Gateway, config, tocsin
from harness.http_client import get, request
from harness.redis_server import RedisServer
from harness.waiting import wait_until

KEY = "0123456789abcdef-test-key"
MARKED = {"Authorization": f"Bearer {KEY}"}
CENTRIFUGE = {"path": "/rooms", "protocol": "centrifuge", "auth": "lb", "may_join": ["room.*"]}


def settings():
    made = config(gateway={"admin_key": KEY})
    made["routes"].append(CENTRIFUGE)
    return made


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one", settings()) as one, Gateway(redis_server.url, "two", settings()) as two:
        yield one, two


@pytest.fixture
def lone_redis():
    """For gateways that are killed: a dead one counts as alive until its lease expires."""
    with RedisServer() as server:
        yield server


def end(gateway, user, headers=MARKED):
    return request(gateway.admin_port, "DELETE", f"/v1/users/{user}/connections", headers=headers)


# Ending connections ---------------------------------------------------------------------------------------------------


def test_a_users_connections_end_on_every_gateway_and_others_stay(gateways, clients, redis):
    one, two = gateways
    mine = clients.open(one.url("/mine"), two.url("/mine"), count=3, headers={"X-Remote-User": "42"})
    (other,) = clients.open(two.url("/mine"), headers={"X-Remote-User": "43"})
    answer = end(one, "42")
    assert answer.status == 200 and answer.json == {"gateways": 2, "living": 2}
    for socket in mine:
        assert socket.wait_closed(5) == 4401
        assert socket.close_reason == "ended by the operator"
    redis.fcall("group_send", 1, "asgi:group:43.inbox", '{"n":1}')
    assert other.wait(1) == ['{"n":1}']


def test_kick_ends_a_users_connections_and_says_who_heard_it(gateways, clients, redis_server):
    (mine,) = clients.open(gateways[1].url("/mine"), headers={"X-Remote-User": "kicked"})
    done = tocsin("kick", "--user", "kicked", "--redis", redis_server.url)
    assert done.stdout == "2 of 2 living gateways heard it\n"
    assert mine.wait_closed(5) == 4401


def test_kick_ends_one_connection_as_who_names_it(gateways, clients, redis_server):
    first, second = clients.open(gateways[0].url("/mine"), count=2, headers={"X-Remote-User": "7"})
    rows = json.loads(tocsin("who", "--user", "7", "--json", "--redis", redis_server.url).stdout)
    done = tocsin("kick", "--connection", rows[0]["channel"], "--json", "--redis", redis_server.url)
    assert json.loads(done.stdout) == {"gateways": 2, "living": 2}
    clients.wait_for(lambda: first.open != second.open, 5)


@pytest.mark.parametrize(
    "arguments", [[], ["--user", "1", "--connection", "2"], ["--user", ""], ["--connection", "not-one"]]
)
def test_kick_wants_a_user_or_a_connection(arguments, redis_server):
    assert tocsin("kick", *arguments, "--redis", redis_server.url, check=False).returncode != 0


def test_a_publish_by_hand_does_the_same(gateways, clients, redis):
    (mine,) = clients.open(gateways[0].url("/mine"), headers={"X-Remote-User": "by-hand"})
    assert redis.publish("asgi__control", '{"event":"end","user":"by-hand"}') == 2
    assert mine.wait_closed(5) == 4401


def test_rubbish_on_the_control_channel_ends_nobody(gateways, clients, redis):
    (mine,) = clients.open(gateways[0].url("/mine"), headers={"X-Remote-User": "9"})
    for rubbish in (b"", b"\xff", b"{}", b'{"event":"end"}', b'{"event":"end","user":9}', b"[" * 10_000):
        redis.publish("asgi__control", rubbish)
    redis.fcall("group_send", 1, "asgi:group:9.inbox", '{"marker":1}')
    assert mine.until("marker") == [] and mine.open


def test_a_stream_that_was_ended_is_answered_204_when_its_browser_comes_back(gateways):
    path, user = "/mine", {"X-Remote-User": "11"}
    with EventStreams() as streams:
        stream = streams.open(gateways[0], path, headers=user)
        assert end(gateways[1], "11").status == 200
        stream.wait_ended()
        assert (stream.events[-1].name, stream.events[-1].id) == ("end", "end")
    headers = {"Accept": "text/event-stream", "Last-Event-ID": stream.last_event_id, **user}
    again = get(gateways[1].port, path, headers=headers)
    assert again.status == 204 and again.body == b""


# Authorization --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}])
def test_without_the_key_nothing_is_done(headers, gateways, clients, redis):
    (mine,) = clients.open(gateways[0].url("/mine"), headers={"X-Remote-User": "12"})
    answer = end(gateways[0], "12", headers)
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["error"]["code"] == "unauthorized" and answer.json["error"]["remedy"]
    redis.fcall("group_send", 1, "asgi:group:12.inbox", '{"marker":1}')
    assert mine.until("marker") == [] and mine.open


def test_health_wants_no_key_and_clients_see_no_api(gateways):
    assert get(gateways[0].admin_port, "/readyz").status == 200
    assert request(gateways[0].port, "DELETE", "/v1/users/1/connections", headers=MARKED).status in (404, 405)


def test_the_key_is_in_no_log(lone_redis):
    made = {**settings(), "log": {"level": "trace"}}
    with Gateway(lone_redis.url, "talker", made) as gateway:
        assert end(gateway, "1").status == 200
        assert end(gateway, "1", {"Authorization": "Bearer wrong-but-secret"}).status == 401
        assert KEY not in gateway.log and "wrong-but-secret" not in gateway.log


def start(tmp_path, redis_server, admin, **gateway):
    path = tmp_path / "tocsin.yaml"
    path.write_text(json.dumps(config(gateway=gateway)))
    return tocsin(
        "gateway", "--config", path, "--bind", f"127.0.0.1:{free_port()}", "--admin", admin, "--redis",
        redis_server.url, check=False, timeout=10,
    )  # fmt: skip


def test_an_admin_port_that_others_reach_wants_a_key_or_the_start_is_refused(tmp_path, redis_server):
    done = start(tmp_path, redis_server, f"0.0.0.0:{free_port()}")
    assert done.returncode != 0
    assert "gateway.admin_key" in done.stderr and "127.0.0.1" in done.stderr


def test_a_key_that_is_too_short_is_refused_and_not_shown(tmp_path, redis_server):
    done = start(tmp_path, redis_server, f"127.0.0.1:{free_port()}", admin_key="hunter2")
    assert done.returncode != 0
    assert "gateway.admin_key" in done.stderr and "hunter2" not in done.stderr


def test_the_key_may_come_from_a_file_and_from_the_environment(tmp_path, lone_redis):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    with Gateway(lone_redis.url, "filed", config(gateway={"admin_key_file": str(file)})) as gateway:
        assert (end(gateway, "1").status, end(gateway, "1", {}).status) == (200, 401)
    with Gateway(lone_redis.url, "env", config(), {"TOCSIN_GATEWAY_ADMIN_KEY": KEY}) as gateway:
        assert (end(gateway, "1").status, end(gateway, "1", {}).status) == (200, 401)


def test_without_redis_it_is_503_and_told_when_to_come_back():
    with RedisServer() as redis, Gateway(redis.url, "alone", settings()) as gateway:
        redis.kill()
        wait_until(lambda: gateway.readyz() == 503, 10, "the loss of Redis")
        began = time.monotonic()
        answer = end(gateway, "1")
        assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
        assert answer.json["error"]["code"] == "unavailable"
        assert time.monotonic() - began < 5


# Groups ---------------------------------------------------------------------------------------------------------------


def post(gateway, group, message, query="", **headers):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    fields = {"Content-Type": "application/json", **MARKED, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return request(gateway.admin_port, "POST", f"/v1/groups/{group}/messages{query}", body, fields)


def test_a_posted_message_arrives_on_every_gateway_as_it_was_written(gateways, clients):
    listeners = clients.open(gateways[0].url("/ws/posted"), gateways[1].url("/ws/posted"))
    answer = post(gateways[0], "posted", b'{"balance": 12.0, "n": 12345678901234567890}')
    assert answer.status == 201
    assert answer.json["gateways"] == 2 and ":" in answer.json["position"]
    for listener in listeners:
        assert exactly(listener.wait(1)[0]) == exactly('{"balance":12.0,"n":12345678901234567890}')


def test_an_idempotency_key_sends_once_and_answers_the_same(gateways, clients):
    (listener,) = clients.open(gateways[1].url("/ws/keyed"))
    answers = [post(gateways[n % 2], "keyed", {"n": 1}, "?ttl=60", Idempotency_Key="invoice-17") for n in range(3)]
    assert len({answer.json["position"] for answer in answers}) == 1
    post(gateways[0], "keyed", {"marker": 1})
    assert len(listener.until("marker")) == 1


def test_what_was_posted_is_read_back_in_pages(gateways):
    for n in range(250):
        assert post(gateways[0], "paged", {"n": n}).status == 201
    found, since = [], None
    while True:
        query = f"?since={since}" if since else ""
        page = get(gateways[1].admin_port, f"/v1/groups/paged/messages{query}", headers=MARKED).json
        found += [entry["message"]["n"] for entry in page["messages"]]
        if page["next"] == page["position"]:
            break
        since = page["next"]
    # The policy keeps the last 100 messages, and slightly more.
    assert found == list(range(250 - len(found), 250)) and len(found) >= 100
    assert page["continuity"] == "resumed"
    nothing = get(gateways[0].admin_port, "/v1/groups/never-used/messages", headers=MARKED).json
    assert nothing["messages"] == [] and nothing["position"] is None


def test_members_and_gateways_are_listed(gateways, clients):
    clients.open(*(one.url("/mine") for one in gateways), headers={"X-Remote-User": "21"})
    rows = get(gateways[0].admin_port, "/v1/groups/21.inbox/members", headers=MARKED).json["members"]
    assert sorted(row["gateway"] for row in rows) == ["one", "two"]
    assert {row["user"] for row in rows} == {"21"} and all(row["since"] > 1_700_000_000 for row in rows)
    living = get(gateways[0].admin_port, "/v1/gateways", headers=MARKED).json["gateways"]
    assert sorted(row["gateway"] for row in living) == ["one", "two"]


@pytest.mark.parametrize(
    "message, status",
    [(b"", 400), (b"[1]", 400), (b"{", 400), (b'{"a":"\xff"}', 400), (b'{"a":"' + b"x" * 65536 + b'"}', 413)],
    ids=["nothing", "a list", "broken", "no UTF-8", "too large"],
)
def test_what_is_no_message_is_refused_with_what_to_do(message, status, gateways):
    answer = post(gateways[0], "refused", message)
    assert answer.status == status
    assert answer.json["error"].keys() == {"code", "message", "remedy"}


def test_the_api_wants_its_key_for_everything(gateways):
    for method, path in [("POST", "/v1/groups/g/messages"), ("GET", "/v1/groups/g/messages"),
                         ("GET", "/v1/groups/g/members"), ("GET", "/v1/gateways")]:  # fmt: skip
        assert request(gateways[0].admin_port, method, path, b"{}" if method == "POST" else None).status == 401


def test_the_description_names_every_path(gateways):
    paths = get(gateways[0].admin_port, "/openapi.json").json["paths"]
    assert paths.keys() >= {"/v1/groups/{group}/messages", "/v1/users/{user}/connections", "/readyz"}
