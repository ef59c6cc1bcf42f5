"""Pages of other sites that open a socket with the user's cookies: S1 to S4 of the table in README.md."""

import pytest
from harness.gateway import ORIGIN

from .bench.bad_client import handshake

pytestmark = pytest.mark.quick

# The gateway's allowed_hosts is ["http://site.example"].
FOREIGN = {"another site": "https://evil.example", "none of the web": "file://", "a word": "x", "empty": ""}
LOOK_ALIKE = {
    "as its subdomain": "http://site.example.evil.example",
    "as its end": "http://evilsite.example",
    "a subdomain of it": "http://a.site.example",
    "before an @": "http://site.example@evil.example",
    "behind a backslash": "http://evil.example\\.site.example",
    "null": "null",
    "another scheme": "https://site.example",
    "another port": "http://site.example:8080",
    "a dot at the end": "http://site.example.",
    "a space inside": "http://site.example http://evil.example",
    "with a comma": "http://site.example, http://evil.example",
    "a Cyrillic letter": "http://s\u0456te.example",
    "in punycode": "http://xn--ste-svc.example",
    "a zero byte's escape": "http://site.example%00.evil.example",
}
TWICE = {
    "the right one last": ("http://evil.example", ORIGIN),
    "the right one first": (ORIGIN, "http://evil.example"),
    "the right one twice": (ORIGIN, ORIGIN),
}


def refused(target, reply):
    """One response, which tells a page nothing except that it is not allowed."""
    assert reply.status == 403 and reply.ended and reply.answers == 1, reply.raw
    assert reply.body == b"403 this Origin may not connect\n"
    assert "access-control-allow-origin" not in reply.headers


def test_s1_another_site_s_page_is_refused_and_counted(target, attack):
    before = target.refused("origin")
    reply = target.handshake(Origin="https://evil.example")
    refused(target, reply)
    assert target.refused("origin") == before + 1
    attack(FOREIGN, lambda origin: refused(target, target.handshake(Origin=origin)))


def test_s2_look_alikes_are_refused(target, attack):
    attack(LOOK_ALIKE, lambda origin: refused(target, target.handshake(Origin=origin)))


def test_s2_case_and_the_default_port_make_no_difference(target):
    for same in "HTTP://SITE.EXAMPLE", "http://Site.Example", "http://site.example:80":
        assert target.handshake(Origin=same).status == 101, same


def test_s2_several_origins_are_refused_whichever_comes_last(target, attack):
    def check(origins):
        lines = [f"Origin: {origin}" for origin in origins]
        refused(target, target.ask(handshake("/ws/a", *lines, without=("Origin",))))
        events = handshake("/ws/a", "Accept: text/event-stream", *lines, without=("Origin", "Upgrade", "Connection"))
        refused(target, target.ask(events))

    attack(TWICE, check)


def test_s3_no_browser_and_no_origin_is_refused_with_a_token_and_with_a_cookie(target, attack):
    """The table accepts a token without an Origin. Here only allowed_hosts: ["*"] does that."""
    bearer = f"Authorization: Bearer {target.token()}"
    cases = {"with a token": ("/token", bearer), "with a cookie": ("/cookie",), "with neither": ("/ws/a",)}
    attack(cases, lambda case: refused(target, target.ask(handshake(*case, without=("Origin",)))))


def test_s4_a_cross_site_request_is_refused_before_its_cookie_is_looked_at(target, attack):
    asked = target.site.asked
    cases = FOREIGN | LOOK_ALIKE
    attack(cases, lambda origin: refused(target, target.handshake("/cookie", Origin=origin)))
    assert target.site.asked == asked
    assert target.handshake("/cookie").status == 101
    assert target.site.asked == asked + 1


def test_s4_another_site_s_event_source_is_refused_too(target, attack):
    def check(origin):
        lines = (f"Origin: {origin}", "Accept: text/event-stream")
        refused(target, target.ask(handshake("/cookie", *lines, without=("Origin", "Upgrade", "Connection"))))

    asked = target.site.asked
    attack(FOREIGN | LOOK_ALIKE, check)
    assert target.site.asked == asked
