"""Pages of other origins: what Chromium lets them read of a stream, and of a refusal."""

import json
import time

import jwt
import pytest
from harness.gateway import Gateway, config
from harness.small_site import SmallSite

SECRET = "browser-marked-secret-of-thirty-two-bytes-and-more"


class Site(SmallSite):
    """Serves a page at every path; at /auth it cannot identify anybody."""

    def __init__(self):
        self.asked = 0
        super().__init__()

    def answer(self, path, headers):
        if path == "/auth":
            self.asked += 1
            return 500, b""
        return 200, b"<!doctype html><title>a page of its own</title>"


def token(**claims):
    return jwt.encode({"sub": "42", "exp": int(time.time()) + 600, **claims}, SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
def site():
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def foreign_site():
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def gateway(redis_server, site):
    settings = config(
        gateway={"allowed_hosts": [site.url]},
        auth={
            "token": {"kind": "jwt", "hs256_secret": SECRET, "cookie": "jwt"},
            "away": {"kind": "callback", "url": f"{site.url}/auth", "forward": ["cookie", "x-api-key"]},
        },
        routes=[
            {"path": "/mine", "auth": "token", "groups": ["{user}.inbox"]},
            {"path": "/away", "auth": "away", "groups": ["{user}.inbox"]},
        ],
    )
    with Gateway(redis_server.url, "origins", settings) as gateway:
        yield gateway


def ask(page, gateway, path, **headers):
    """What a page's fetch() of a stream sees: status, Retry-After and the start of the body; or that it failed."""
    headers = {"Accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return page.evaluate(
        f"fetch('http://127.0.0.1:{gateway.port}{path}', {{headers: {json.dumps(headers)}, credentials: 'include'}})"
        ".then(async answer => [answer.status, answer.headers.get('Retry-After'), "
        "answer.ok ? '' : await answer.text()], error => error.name)"
    )


LISTEN = """
    window.text = '';
    fetch(URL, {headers: HEADERS}).then(async answer => {
        for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) text += piece;
    });
"""


def listen(page, gateway, path, **headers):
    headers = json.dumps({"Accept": "text/event-stream", **headers})
    url = json.dumps(f"http://127.0.0.1:{gateway.port}{path}")
    page.evaluate(LISTEN.replace("URL", url).replace("HEADERS", headers) + "; 0")
    page.wait_for("text.includes('id: ')")


def send(redis, n):
    return redis.fcall("group_send", 1, "asgi:group:42.inbox", json.dumps({"n": n}))[0].decode()


def test_a_page_of_another_origin_reads_a_stream_with_its_token_and_resumes_it(gateway, site, redis, open_page):
    page = open_page(site.url)
    bearer = f"Bearer {token()}"
    listen(page, gateway, "/mine", Authorization=bearer)
    seen = send(redis, 1)
    page.wait_for("text.includes('{\"n\": 1}')")
    send(redis, 2)
    again = open_page(site.url)
    # Headers that libraries add to it.
    extra = {"Cache-Control": "no-cache", "Content-Type": "application/json", "X-Requested-With": "XMLHttpRequest"}
    listen(again, gateway, "/mine", Authorization=bearer, **{"Last-Event-ID": seen}, **extra)
    again.wait_for("text.includes('{\"n\": 2}')")
    assert "{\"n\": 1}" not in again.evaluate("text")


def test_a_page_of_another_origin_reads_a_stream_with_its_cookie(gateway, site, open_page):
    page = open_page(site.url)
    page.evaluate(f"document.cookie = 'jwt={token()}'")
    assert ask(page, gateway, "/mine")[0] == 200
    opened = "new Promise(done => { const it = new EventSource(URL, {withCredentials: true});"
    opened += "it.onopen = () => { it.close(); done(true) }; it.onerror = () => done(false) })"
    assert page.evaluate(opened.replace("URL", json.dumps(f"http://127.0.0.1:{gateway.port}/mine")))


def test_a_page_of_another_origin_can_read_why_it_was_refused(gateway, site, open_page):
    page = open_page(site.url)
    assert ask(page, gateway, "/mine", Authorization="Bearer x") == [403, None, "403 not logged in\n"]
    assert ask(page, gateway, "/nowhere", Authorization="Bearer x")[0] == 404
    status, wait, text = ask(page, gateway, "/away", X_API_Key="x")
    assert (status, wait) == (503, "2") and "the login cannot be checked now" in text


def test_a_page_of_a_foreign_origin_reads_nothing_and_no_login_is_asked_for_it(gateway, site, foreign_site, open_page):
    page = open_page(foreign_site.url)
    asked = site.asked
    page.evaluate(f"document.cookie = 'jwt={token()}'")
    for path in "/mine", "/away", "/nowhere":
        assert ask(page, gateway, path) == "TypeError"
        assert ask(page, gateway, path, Authorization=f"Bearer {token()}") == "TypeError"
    assert site.asked == asked


def test_a_header_that_no_login_reads_is_not_the_page_s_to_send(gateway, site, open_page):
    page = open_page(site.url)
    assert ask(page, gateway, "/mine", Authorization=f"Bearer {token()}", X_Remote_User="admin") == "TypeError"
