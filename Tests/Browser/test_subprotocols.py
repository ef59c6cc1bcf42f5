"""`new WebSocket(url, names)` in Chromium, which fails the connection if none of the names is chosen."""

import json
import time

import jwt
import pytest
from harness.gateway import Gateway, config

SECRET = "browser-marked-secret-of-thirty-two-bytes-and-more"
FAILED = ["closed", 1006]


def token(secret=SECRET):
    return jwt.encode({"sub": "42", "exp": int(time.time()) + 600}, secret, algorithm="HS256")


@pytest.fixture(scope="module")
def gateway(redis_server):
    settings = config(
        gateway={"allowed_hosts": [], "demo_page": True},
        auth={"token": {"kind": "jwt", "hs256_secret": SECRET}},
        routes=[
            {"path": "/listed", "groups": ["news"], "subprotocols": ["chat.v1", "chat.v2"]},
            {"path": "/unlisted", "groups": ["news"]},
            {"path": "/token", "groups": ["news"], "auth": "token"},
            {"path": "/both", "groups": ["news"], "auth": "token", "subprotocols": ["chat.v1"]},
            {"path": "/centrifuge", "auth": "token", "protocol": "centrifuge", "may_join": ["news"]},
        ],
    )
    with Gateway(redis_server.url, "subprotocols", settings) as gateway:
        yield gateway


@pytest.fixture
def connect(gateway, open_page):
    """connect(path, *names) → ["open", the chosen name] or ["closed", code]."""
    page = open_page(f"http://127.0.0.1:{gateway.port}/")

    def connect(path, *names):
        return page.evaluate(
            f"new Promise(done => {{ const it = new WebSocket({json.dumps(gateway.url(path))}, {json.dumps(names)});"
            "it.onopen = () => { done(['open', it.protocol]); it.close() };"
            "it.onclose = event => done(['closed', event.code]) })"
        )

    return connect


def test_the_first_name_that_the_route_lists_is_chosen(connect):
    assert connect("/listed", "chat.v3", "chat.v2", "chat.v1") == ["open", "chat.v2"]
    assert connect("/listed") == ["open", ""]
    assert connect("/listed", "chat.v3") == FAILED


def test_a_route_that_lists_no_names_speaks_none(connect):
    assert connect("/unlisted") == ["open", ""]
    assert connect("/unlisted", "chat.v1") == FAILED


def test_a_token_alone_opens_a_connection(connect):
    mine = f"bearer.{token()}"
    assert connect("/token", mine) == ["open", mine]
    assert connect("/both", mine) == ["open", mine]
    assert connect("/token", f"bearer.{token(SECRET + '!')}") == FAILED


def test_a_token_beside_a_name_opens_a_connection_with_the_name(connect):
    mine = f"bearer.{token()}"
    assert connect("/token", "chat.v1", mine) == ["open", "chat.v1"]
    assert connect("/token", mine, "chat.v1") == ["open", "chat.v1"]
    assert connect("/both", "chat.v2", "chat.v1", mine) == ["open", "chat.v1"]
    assert connect("/both", "chat.v2", mine) == FAILED, "the route does not speak it"


def test_what_clients_of_centrifuge_offer_is_answered_for_json_only(connect):
    """centrifuge-js offers nothing for JSON, and the name of the binary form where that is used."""
    assert connect("/centrifuge") == ["open", ""]
    assert connect("/centrifuge", "centrifuge-json") == ["open", "centrifuge-json"]
    assert connect("/centrifuge", "centrifuge-protobuf") == FAILED
    assert connect("/centrifuge", f"bearer.{token()}", "centrifuge-json") == ["open", "centrifuge-json"]
