"""The admin port's API for what is scheduled, receipts, inboxes, push subscriptions and erasure, against running gateways."""

import base64
import contextlib
import json
import time
from urllib.parse import quote

import pytest
from harness.gateway import Gateway, config, tocsin
from harness.http_client import request
from harness.redis_server import RedisServer
from harness.waiting import wait_until

KEY = "0123456789abcdef-test-key"
GROUPS = [
    {"match": "{user}.inbox", "inbox": True, "history": {"size": 100, "ttl": "1d"}},
    {"match": "shared.*", "receipts": True},
]
# The base point of P-256, uncompressed.
POINT = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


def settings():
    return config(gateway={"admin_key": KEY}, groups=GROUPS)


@pytest.fixture(scope="module")
def gateways(redis_server):
    with Gateway(redis_server.url, "one", settings()) as one, Gateway(redis_server.url, "two", settings()) as two:
        yield one, two


def ask(gateway, method, path, body=None):
    fields = {"Authorization": f"Bearer {KEY}"}
    if body is not None:
        fields["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    return request(gateway.admin_port, method, path, body, fields)


def post(gateway, group, message, query=""):
    return ask(gateway, "POST", f"/v1/groups/{group}/messages{query}", message)


def refused(answer, status, code):
    assert (answer.status, answer.json["error"]["code"]) == (status, code), answer.text
    assert answer.json["error"]["message"] and answer.json["error"]["remedy"]
    assert "ERR" not in answer.text and "Redis answered" not in answer.text
    return True


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# Options of a send ----------------------------------------------------------------------------------------------------

# Each of the three ways to send, with the same option.
OPTIONS = {
    "ttl": ("?ttl=600", ["--ttl", 600], ["TTL", 600]),
    "collapse": ("?collapse=parcel", ["--collapse", "parcel"], ["COLLAPSE", "parcel"]),
    "urgency": ("?urgency=high", ["--urgency", "high"], ["URGENCY", "high"]),
    "escalate": ("?escalate=600", ["--escalate", 600], ["ESCALATE", 600]),
    "unless": (
        "?escalate=600&unless=delivered", ["--escalate", 600, "--unless", "delivered"],
        ["ESCALATE", 600, "UNLESS", "delivered"],
    ),
    "size": ("?size=1", ["--size", 1], ["SIZE", 1]),
}  # fmt: skip


def traces(redis, group):
    """What a send left in Redis, without what differs each time: times, epochs, offsets."""
    entry = redis.xrevrange(f"tocsin:log:{group}", count=1)
    fields = {name: value for name, value in entry[0][1].items() if name not in (b"t", b"x")}
    expires = [round((int(e[1][b"x"]) - int(e[1][b"t"])) / 1000) for e in entry if b"x" in e[1]]
    waiting = [member.split(b" ")[3] for member in redis.zrange("tocsin:due", 0, -1) if group.encode() in member]
    return fields, expires, redis.xlen(f"tocsin:log:{group}"), waiting, redis.hkeys(f"tocsin:collapse:{group}")


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_means_the_same_over_http_by_command_and_in_redis(option, gateways, redis, redis_server):
    query, flags, words = OPTIONS[option]
    groups = [f"{way}-{option}.inbox" for way in ("http", "command", "redis")]
    for send in (
        lambda terms: post(gateways[0], groups[0], {"n": 1}, query if terms else ""),
        lambda terms: tocsin("send", groups[1], '{"n": 1}', *(flags if terms else []), "--redis", redis_server.url),
        lambda terms: redis.fcall("group_send", 1, f"asgi:group:{groups[2]}", '{"n": 1}', *(words if terms else [])),
    ):
        send(False)
        send(True)
        send(True)
    over_http, by_command, in_redis = (traces(redis, group) for group in groups)
    assert over_http == by_command == in_redis
    assert in_redis != traces_of_plain(redis), "the option left nothing to compare"


def traces_of_plain(redis):
    for _ in range(3):
        redis.fcall("group_send", 1, "asgi:group:plain.inbox", '{"n": 1}')
    found = traces(redis, "plain.inbox")
    redis.delete("tocsin:log:plain.inbox", "tocsin:pos:plain.inbox")
    return found


@pytest.mark.parametrize("way", ["at", "in"])
def test_a_time_means_the_same_over_http_by_command_and_in_redis(way, gateways, redis, redis_server):
    later = redis.time()[0] + 3600
    value = f"{later}.250" if way == "at" else "1h"
    group = f"timed-{way}.inbox"
    answer = post(gateways[0], group, {"n": 1}, f"?{way}={value}")
    assert answer.status == 202
    ids = [answer.json["scheduled"]]
    sent = tocsin("send", group, '{"n": 1}', f"--{way}", value, "--json", "--redis", redis_server.url)
    ids.append(json.loads(sent.stdout)["scheduled"])
    seconds = value if way == "at" else "3600"
    ids.append(redis.fcall("group_send", 1, f"asgi:group:{group}", '{"n": 1}', way.upper(), seconds)[0].decode())
    listed = ask(gateways[1], "GET", f"/v1/scheduled?group={group}").json["scheduled"]
    assert sorted(entry["id"] for entry in listed) == sorted(ids)
    assert all(entry["message"] == {"n": 1} and entry["group"] == group for entry in listed)
    assert all(abs(entry["at"] - later) < (0.3 if way == "at" else 5) for entry in listed)
    for id in ids:
        assert ask(gateways[0], "DELETE", f"/v1/scheduled/{quote(id)}").json == {"cancelled": id}
        assert refused(ask(gateways[0], "DELETE", f"/v1/scheduled/{id}"), 404, "not_scheduled")
    assert ask(gateways[0], "GET", f"/v1/scheduled?group={group}").json == {"scheduled": []}


@pytest.mark.parametrize(
    "group, query, status, code",
    [("9.inbox", "?at=soon", 400, "bad_at"), ("9.inbox", "?in=5w", 400, "bad_in"), ("9.inbox", "?at=1&in=1", 400, "bad_at"),
     ("9.inbox", "?at=9999999999", 400, "bad_at"), ("9.inbox", "?urgency=asap", 400, "bad_urgency"),
     ("9.inbox", "?unless=read", 400, "bad_unless"), ("9.inbox", "?escalte=5", 400, "unknown_parameter"),
     ("9.inbox", "?size=0&collapse=k", 409, "not_kept"), ("9.inbox", "?size=0&escalate=5", 409, "not_kept"),
     ("untracked", "?escalate=5", 409, "no_receipts"), ("shared.a", "?escalate=5&unless=read", 409, "no_inbox")],
)  # fmt: skip
def test_an_option_that_cannot_be_kept_is_refused_and_nothing_is_sent(group, query, status, code, gateways, redis):
    assert refused(post(gateways[0], group, {"n": 1}, query), status, code)
    assert redis.xlen(f"tocsin:log:{group}") == 0


def test_a_scheduled_message_arrives_in_time_although_the_gateway_that_took_it_is_dead(clients):
    with RedisServer() as server, contextlib.ExitStack() as stack:
        doomed = stack.enter_context(Gateway(server.url, "doomed", settings()))
        other = stack.enter_context(Gateway(server.url, "other", settings()))
        (listener,) = clients.open(other.url("/mine"), headers={"X-Remote-User": "7"})
        seconds, microseconds = server.client().time()
        due = seconds + microseconds / 1e6 + 3
        assert post(doomed, "7.inbox", {"n": 1}, f"?at={due:.3f}").status == 202
        doomed.kill()
        assert listener.wait(1, timeout=6) == ['{"n": 1}']
        assert 0 <= time.time() - due < 1
        assert ask(other, "GET", "/v1/scheduled").json == {"scheduled": []}


# Receipts -------------------------------------------------------------------------------------------------------------


def receipts(gateway, group, position):
    return ask(gateway, "GET", f"/v1/groups/{group}/messages/{position}/receipts")


def test_a_receipt_says_since_when_the_user_has_the_message_and_whether_it_was_read(gateways, redis):
    position = post(gateways[0], "1.inbox", {"n": 1}).json["position"]
    expected = {"user": "1", "delivered": False, "read": False}
    assert receipts(gateways[1], "1.inbox", position).json == {"position": position, "users": [expected]}
    assert redis.fcall("mark_delivered", 1, "asgi:group:1.inbox", "1", position) == 1
    (user,) = receipts(gateways[1], "1.inbox", quote(position, safe="")).json["users"]
    assert user["delivered"] and not user["read"] and abs(user["delivered_at"] - time.time()) < 10
    assert ask(gateways[0], "POST", "/v1/users/1/inbox/read", {"group": "1.inbox", "position": position}).status == 200
    assert receipts(gateways[1], "1.inbox", position).json["users"][0]["read"]


def test_receipts_of_a_group_without_them_and_of_what_it_never_had_are_refused(gateways):
    untracked = post(gateways[0], "no-receipts", {"n": 1}).json["position"]
    assert refused(receipts(gateways[0], "no-receipts", untracked), 409, "no_receipts")
    position = post(gateways[0], "2.inbox", {"n": 1}).json["position"]
    assert refused(receipts(gateways[0], "2.inbox", position + "0"), 404, "no_message")
    assert refused(receipts(gateways[0], "2.inbox", untracked), 404, "no_message")
    assert refused(receipts(gateways[0], "2.inbox", "17"), 400, "bad_position")


# Inboxes --------------------------------------------------------------------------------------------------------------


def inbox(gateway, user, query=""):
    return ask(gateway, "GET", f"/v1/users/{user}/inbox{query}")


def mark(gateway, user, **what):
    return ask(gateway, "POST", f"/v1/users/{user}/inbox/read", what)


def test_an_inbox_is_paged_newest_first_and_marks_move_its_read_state(gateways):
    one, two = gateways
    positions = [post(one, "3.inbox", {"n": n}).json["position"] for n in range(5)]
    first = inbox(two, "3", "?group=3.inbox&limit=2").json
    assert [entry["message"]["n"] for entry in first["messages"]] == [4, 3] and first["unread"] == 5
    rest = inbox(two, "3", f"?group=3.inbox&before={first['messages'][-1]['position']}").json
    assert [entry["message"]["n"] for entry in rest["messages"]] == [2, 1, 0]
    assert mark(one, "3", group="3.inbox", position=positions[1]).json == {"unread": 3, "read": positions[1]}
    assert mark(one, "3", group="3.inbox", one=positions[3]).json["unread"] == 2
    assert mark(one, "3", group="3.inbox", unread=positions[0]).json["unread"] == 3
    page = inbox(two, "3", "?group=3.inbox").json
    assert [entry["read"] for entry in page["messages"]] == [False, True, False, True, False]
    assert inbox(two, "3").json == {"inboxes": [{"group": "3.inbox", "unread": 3, "read": positions[1]}]}
    assert mark(two, "3", group="3.inbox", all=True).json == {"unread": 0, "read": positions[4]}
    assert inbox(one, "3").json["inboxes"][0]["unread"] == 0


def test_an_inbox_that_is_none_or_somebody_elses_is_refused(gateways):
    position = post(gateways[0], "4.inbox", {"n": 1}).json["position"]
    assert refused(inbox(gateways[0], "5", "?group=4.inbox"), 409, "other_user")
    assert refused(mark(gateways[0], "5", group="4.inbox", position=position), 409, "other_user")
    assert refused(inbox(gateways[0], "4", "?group=shared.b"), 409, "no_inbox")
    assert refused(mark(gateways[0], "4", group="4.inbox", position="0.0:1"), 404, "no_message")
    assert inbox(gateways[0], "nobody").json == {"inboxes": [{"group": "nobody.inbox", "unread": 0, "read": "0.0:0"}]}


# Push subscriptions, escalations --------------------------------------------------------------------------------------


def subscription(endpoint="https://push.example/a"):
    return {"endpoint": endpoint, "keys": {"p256dh": base64url(POINT), "auth": base64url(bytes(16))}}


def test_a_push_subscription_is_registered_once_and_removed_by_its_endpoint(gateways, redis):
    path = "/v1/users/6/push-subscriptions"
    first = ask(gateways[0], "PUT", path, subscription()).json
    assert first == ask(gateways[1], "PUT", path, subscription()).json and first["subscriptions"] == 1
    assert json.loads(redis.hget("tocsin:push:6", first["id"])) == subscription()
    assert refused(ask(gateways[0], "PUT", path, subscription("https://10.0.0.1/a")), 400, "bad_subscription")
    for n in range(19):
        assert ask(gateways[0], "PUT", path, subscription(f"https://push.example/{n}")).status == 200
    assert refused(ask(gateways[0], "PUT", path, subscription("https://push.example/b")), 409, "too_many_subscriptions")
    removal = f"{path}?endpoint={quote('https://push.example/a', safe='')}"
    assert ask(gateways[0], "DELETE", removal).json == {"id": first["id"], "removed": True}
    assert ask(gateways[0], "DELETE", path, {"endpoint": "https://push.example/a"}).json["removed"] is False
    assert redis.hlen("tocsin:push:6") == 19


def bury(redis, id="esc_0f/site"):
    """A dead letter, as a webhook's sender leaves it."""
    redis.hset(f"tocsin:task:{id}", mapping={
        "target": "site", "group": "8.inbox", "user": "8", "position": "1.2:3", "attempt": 9, "reason": "HTTP 500"})  # fmt: skip
    redis.zadd("tocsin:dead", {f"site {id}": int(time.time() * 1000)})


def test_dead_letters_are_listed_and_sent_again(gateways, redis):
    bury(redis)
    (letter,) = ask(gateways[0], "GET", "/v1/escalations").json["dead"]
    assert letter["id"] == "esc_0f/site" and letter["attempts"] == 9 and letter["reason"] == "HTTP 500"
    assert ask(gateways[0], "POST", "/v1/escalations/retry", {"id": letter["id"]}).json == {"retried": 1}
    assert refused(ask(gateways[0], "POST", "/v1/escalations/retry", {"id": letter["id"]}), 404, "no_dead_letter")
    assert refused(ask(gateways[0], "POST", "/v1/escalations/retry", {"id": "ALL"}), 400, "bad_id")
    bury(redis)
    assert ask(gateways[1], "POST", "/v1/escalations/retry", {"all": True}).json == {"retried": 1}
    assert ask(gateways[0], "GET", "/v1/escalations").json["dead"] == []
    redis.delete("tocsin:tasks:site", "tocsin:task:esc_0f/site")


# Erasure --------------------------------------------------------------------------------------------------------------


def mentions(redis, user: bytes):
    """Every key that names the user, or has a value that does.

    Without the membership of a group whose last connection has just ended: the group's name and a time, which are kept as long
    as clients may come back.
    """
    found = set()
    for key in redis.scan_iter(count=1000):
        if user in key or user in (redis.dump(key) or b""):
            found.add(key)
    return found - {b"asgi:group:" + user + b".inbox", b"tocsin:retained"}


def test_an_erased_user_leaves_nothing_but_the_name_of_a_group(clients):
    user = "erased-7f3a"
    with RedisServer() as server, Gateway(server.url, "one", settings()) as one:
        redis = server.client()
        # Redis compresses long texts in a dump, which would hide the name.
        redis.config_set("rdbcompression", "no")
        (mine,) = clients.open(one.url("/mine"), headers={"X-Remote-User": user})
        position = post(one, f"{user}.inbox", {"n": 1}).json["position"]
        mine.wait(1)
        shared = post(one, "shared.c", {"n": 1}).json["position"]
        assert redis.fcall("mark_delivered", 2, f"asgi:group:{user}.inbox", "asgi:group:shared.c", user, position, user, shared)
        assert mark(one, user, group=f"{user}.inbox", one=position).status == 200
        assert post(one, f"{user}.inbox", {"n": 2}, "?in=1h").status == 202
        assert post(one, f"{user}.inbox", {"n": 3}, "?escalate=600&collapse=k").status == 201
        assert ask(one, "PUT", f"/v1/users/{user}/push-subscriptions", subscription()).status == 200
        redis.xadd("tocsin:escalations", {"id": "esc_1", "user": user, "group": f"{user}.inbox"})
        assert mentions(redis, user.encode())
        answer = ask(one, "DELETE", f"/v1/users/{user}")
        assert answer.status == 200
        assert answer.json == {
            "erased": user, "groups": sorted([f"{user}.inbox", "shared.c"]), "gateways": 1, "living": 1}  # fmt: skip
        assert mine.wait_closed(5) == 4401
        wait_until(lambda: not mentions(redis, user.encode()), 10, lambda: f"left: {mentions(redis, user.encode())}")
        assert redis.xlen("tocsin:log:shared.c") == 1, "what others were sent stays"
        assert ask(one, "DELETE", f"/v1/users/{user}").status == 200


def test_the_api_wants_its_key_for_all_of_it(gateways):
    for method, path in [
        ("GET", "/v1/groups/g/messages/1.2:3/receipts"), ("GET", "/v1/users/1/inbox"), ("POST", "/v1/users/1/inbox/read"),
        ("PUT", "/v1/users/1/push-subscriptions"), ("DELETE", "/v1/users/1/push-subscriptions"), ("DELETE", "/v1/users/1"),
        ("GET", "/v1/scheduled"), ("DELETE", "/v1/scheduled/0a@g"), ("GET", "/v1/escalations"),
        ("POST", "/v1/escalations/retry"),
    ]:  # fmt: skip
        assert request(gateways[0].admin_port, method, path).status == 401
