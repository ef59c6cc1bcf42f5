"""receive: { post: URL }: what a site without Channels is asked, and what becomes of its answers."""

import json
import time

import pytest
from harness.gateway import Gateway, config
from harness.sdk import Sdk
from harness.small_site import SmallSite
from harness.waiting import wait_until


class Site(SmallSite):
    """Answers POSTs as `answers` defines, by path; `asked` has the requests."""

    def __init__(self, answers):
        self.asked, self.answers = [], answers
        super().__init__()

    def answer_post(self, path, headers, body):
        asked = json.loads(body)
        self.asked.append((path, (headers["Content-Type"], headers["Authorization"]), asked))
        return self.answers[path](asked)


@pytest.fixture(scope="module")
def site():
    answers = {
        "/shout": lambda asked: (200, asked["text"].upper().encode()),
        "/quiet": lambda asked: (204, b""),
        "/broken": lambda asked: (500, b"no"),
        "/huge": lambda asked: (200, b"x" * (10 << 20)),
        "/binary": lambda asked: (200, b"\xff\xfe"),
        "/slow": lambda asked: (time.sleep(3), (200, b"late"))[1],
        "/rpc": lambda asked: (200, json.dumps({"you": asked["user"], "did": asked["method"], "with": asked["data"]}).encode())
        if asked["method"] != "bad"
        else (200, b"not json"),
    }
    with Site(answers) as site:
        yield site


@pytest.fixture(scope="module")
def gateway(redis_server, site):
    routes = [
        {"path": f"/post/{name}", "groups": ["posts"], "receive": {"post": f"{site.url}/{name}", "timeout": "500ms"}}
        for name in ("shout", "quiet", "broken", "huge", "binary", "slow")
    ]
    routes.append(
        {"path": "/told/{room}", "auth": "lb", "groups": ["{room}"],
         "receive": {"post": f"{site.url}/quiet", "connections": True, "authorization": "Bearer s3cret"}})  # fmt: skip
    routes.append(
        {"path": "/connection/websocket", "protocol": "centrifuge", "auth": "lb", "may_join": ["*"],
         "receive": {"post": f"{site.url}/rpc"}})  # fmt: skip
    with Gateway(redis_server.url, "poster", config(routes=routes)) as gateway:
        yield gateway


def test_a_200_s_body_goes_back_to_the_client_in_order(gateway, clients):
    (socket,) = clients.open(gateway.url("/post/shout"))
    for number in range(50):
        socket.send(f"message {number}")
    assert socket.wait(50) == [f"MESSAGE {number}" for number in range(50)]


def test_the_site_is_told_of_the_connection_its_beginning_and_its_end(gateway, site, clients):
    (socket,) = clients.open(gateway.url("/told/room"), headers={"X-Remote-User": "42"})
    socket.send("grün 🔔")
    socket.close()
    wait_until(lambda: [asked["type"] for _, _, asked in site.asked][-1:] == ["websocket.disconnect"])
    told = [asked for path, _, asked in site.asked if asked["path"] == "/told/room"]
    assert [asked.pop("type") for asked in told] == ["websocket.connect", "websocket.receive", "websocket.disconnect"]
    assert told[1].pop("text") == "grün 🔔"
    channel = told[0]["reply_channel"]
    assert channel.startswith("specific.poster!")
    assert all(asked == {"reply_channel": channel, "user": "42", "groups": ["room"], "path": "/told/room",
                         "client": "127.0.0.1"} for asked in told)  # fmt: skip
    assert {kind for _, (kind, _), _ in site.asked} == {"application/json"}
    assert {shown for _, (_, shown), asked in site.asked if asked["path"] == "/told/room"} == {"Bearer s3cret"}


@pytest.mark.parametrize(
    ("name", "code"), [("broken", "site_failed"), ("huge", "bad_answer"), ("binary", "bad_answer"), ("slow", "site_failed")])
def test_what_is_no_answer_costs_that_connection_the_answer_and_others_nothing(gateway, clients, name, code):
    (socket,), (other,) = clients.open(gateway.url(f"/post/{name}")), clients.open(gateway.url("/post/shout"))
    socket.send("hello")
    other.send("hello")
    assert other.wait(1) == ["HELLO"]
    error = json.loads(socket.wait(1)[0])["error"]
    assert error["code"] == code and error["message"]
    assert socket.open


def test_a_client_that_sends_faster_than_the_site_answers_is_told_and_stays(gateway, clients):
    (socket,) = clients.open(gateway.url("/post/slow"))
    for number in range(80):
        socket.send(str(number))
    codes = [json.loads(text)["error"]["code"] for text in socket.wait(10)]
    assert codes.count("overloaded") >= 9 and socket.open


def test_a_worker_s_channel_that_nobody_reads_is_full_after_100_messages(redis_server, clients, gateway):
    routes = [{"path": "/ask", "groups": ["g"], "receive": "forward:nobody"}]
    with Gateway(redis_server.url, "fuller", config(gateway={"max_messages_per_second": 0}, routes=routes)) as asker:
        (socket,) = clients.open(asker.url("/ask"))
        for number in range(110):
            socket.send(str(number))
            if number % 20 == 0:
                wait_until(lambda: redis_server.client().zcard("asginobody") >= min(number, 100))
        assert [json.loads(text)["error"]["code"] for text in socket.wait(10)] == ["channel_full"] * 10


def test_an_rpc_of_a_centrifuge_client_is_answered_by_the_site(gateway):
    with Sdk() as sdk:
        client = sdk.connect(gateway.url("/connection/websocket"), headers={"X-Remote-User": "42"})
        for number in range(3):
            answer = client.rpc("count", {"number": number})
            assert answer.data == {"you": "42", "did": "count", "with": {"number": number}}
        with pytest.raises(Exception, match="internal server error"):
            client.rpc("bad", {})
