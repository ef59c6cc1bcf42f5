"""Clients that reach the admin port: S46. It has a key here, and does not serve clients' paths (S44)."""

import gzip
import json

import pytest
from harness.http_client import request

from .bench.target import ADMIN_KEY

pytestmark = pytest.mark.quick

KEY = {"Authorization": f"Bearer {ADMIN_KEY}"}
LARGEST = 65536


def post(target, body, group="posted", headers=(), key=KEY):
    fields = {"Content-Type": "application/json", **key, **dict(headers)}
    return request(target.gateway.admin_port, "POST", f"/v1/groups/{group}/messages", body, fields)


def fill(size) -> bytes:
    """A message of this size."""
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


BODIES = {
    "nothing": (400, b""),
    "a list": (400, b"[1]"),
    "half of it": (400, b'{"a":'),
    "no UTF-8": (400, b'{"a":"\xff"}'),
    "10,000 deep": (400, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "one byte too many": (413, fill(LARGEST + 1)),
    "a megabyte": (413, fill(1 << 20)),
    "a megabyte in chunks": (413, [fill(1 << 20)[n : n + 8192] for n in range(0, 1 << 20, 8192)]),
}


def test_s46_a_message_that_is_none_or_too_large_is_refused_with_what_to_do(target, attack):
    def check(case):
        status, body = case
        answer = post(target, body)
        assert answer.status == status and answer.json["error"].keys() == {"code", "message", "remedy"}

    attack(BODIES, check)


def test_s46_the_largest_message_is_taken_in_one_piece_and_in_chunks(target):
    assert post(target, fill(LARGEST)).status == 201
    assert post(target, [fill(LARGEST)[n : n + 1000] for n in range(0, LARGEST, 1000)]).status == 201


def test_s46_a_compressed_body_is_not_inflated(target, attack):
    """60 KB of a bomb are 60 KB of something that is not JSON."""
    bomb = gzip.compress(b"\0" * (60 << 20))
    assert len(bomb) < LARGEST

    def action():
        assert post(target, bomb, headers={"Content-Encoding": "gzip"}).status == 400

    attack.once(action)


def test_s46_other_content_is_415(target, attack):
    types = {name: {"Content-Type": name} for name in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp")}

    def check(headers):
        assert post(target, b'{"a":1}', headers=headers).status == 415

    attack(types, check)


def test_s46_without_the_key_it_is_401_whatever_is_asked(target, attack):
    """The table's signed requests do not exist: there is one key for operators, and an idempotency key against repeated sends."""
    keys = {
        "none": {}, "wrong": {"Authorization": f"Bearer {ADMIN_KEY}!"}, "a prefix": {"Authorization": f"Bearer {ADMIN_KEY[:-1]}"},
        "as a password": {"Authorization": f"Basic {ADMIN_KEY}"}, "empty": {"Authorization": "Bearer "},
        "64 KiB": {"Authorization": f"Bearer {'x' * 60_000}"},
    }  # fmt: skip
    before = target.store.xlen("tocsin:log:keyless")

    def check(key):
        assert post(target, b'{"a":1}', "keyless", key=key).status in (400, 401, 431)

    attack(keys, check)
    assert target.store.xlen("tocsin:log:keyless") == before == 0


def test_s46_a_request_that_is_sent_again_is_one_message(target):
    answers = [post(target, json.dumps({"n": n}), "again", {"Idempotency-Key": "one"}) for n in range(5)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["position"] for answer in answers}) == 1 == target.store.xlen("tocsin:log:again")
    for key in "", "x" * 201:
        assert post(target, b'{"a":1}', "again", {"Idempotency-Key": key}).status == 400


def test_s46_a_name_that_no_group_can_have_is_400(target, attack):
    def check(name):
        assert post(target, b'{"a":1}', name).status in (400, 404)

    names = ("%20", "a%0d%0ab", "%2e%2e%2f", "a" * 100, "%ff", "*", "a:b")
    attack({name: name for name in names}, check)


def test_s46_other_methods_are_405(target, attack):
    def check(method):
        assert request(target.gateway.admin_port, method, "/metrics", headers=KEY).status == 405

    attack({method: method for method in ("POST", "PUT", "DELETE", "PATCH")}, check)
