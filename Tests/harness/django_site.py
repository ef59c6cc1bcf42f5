"""The example site, examples/django, as a running server, and single Django processes of it."""

import http.cookies
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

from .free_port import free_port
from .http_client import get, request
from .process import REPOSITORY, Process

PROJECT = REPOSITORY / "examples" / "django"


class DjangoSite(Process):
    """One server process of the site. `database` is the SQLite file of another one to share its users and sessions.

    The server is Django's threaded WSGI one; with asgi=True it is Daphne, which serves the Channels consumer too.
    """

    name = "django"
    start_timeout = 60.0

    def __init__(self, redis_url, layer="core", asgi=False, database=None):
        super().__init__()
        self.port = free_port()
        self.redis_url, self.layer, self.asgi = redis_url, layer, asgi
        self.database = Path(database) if database else self.directory / "db.sqlite3"
        self._cookies: dict[str, str] = {}

    def environment(self):
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": self.redis_url,
            "CHANNEL_LAYER": self.layer,
            "DATABASE": str(self.database),
            "ALLOWED_HOSTS": "127.0.0.1,localhost,site.example",
        }

    def command(self):
        server = [] if self.asgi else ["--noasgi"]
        return [sys.executable, str(PROJECT / "manage.py"), "runserver", "--noreload", "--skip-checks", *server,
                f"127.0.0.1:{self.port}"]  # fmt: skip

    def start(self, wait=True):
        if not self.database.exists():
            self.manage("migrate", "--verbosity", "0")
        return super().start(wait)

    def ready(self):
        return get(self.port, "/ws-auth").status == 401

    def manage(self, *arguments, timeout=60) -> str:
        """Runs one manage.py command to its end and returns its output."""
        return self._run(str(PROJECT / "manage.py"), *arguments, timeout=timeout)

    def python(self, code, timeout=60) -> str:
        """Runs code in a separate Django process, set up like the site, and returns its output."""
        return self._run("-", input=f"import django; django.setup()\n{code}", timeout=timeout)

    def _run(self, *arguments, timeout, input=""):
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environment(), cwd=self.directory, timeout=timeout,
            input=input, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"Django process failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stdout

    def group_send(self, *sends):
        """Sends (group, message) pairs in order from one new Django process: any message Python can express."""
        self.python(
            "from asgiref.sync import async_to_sync; from channels.layers import get_channel_layer\n"
            "for group, message in " + repr(list(sends)) + ":\n"
            "    async_to_sync(get_channel_layer().group_send)(group, message)"
        )

    def url(self, path) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def login(self, user) -> str:
        """Logs the user in as a browser does; returns the value of the Cookie header with the session."""
        user = str(user)
        if user not in self._cookies:
            page = get(self.port, "/")
            answer = self._post("/login", cookies(page), {"user": user})
            assert answer.status == 302, (answer.status, answer.text[:500])
            self._cookies[user] = "; ".join(f"{k}={v}" for k, v in {**cookies(page), **cookies(answer)}.items())
        return self._cookies[user]

    def logout(self, user):
        """Ends the user's session on the site; the cookie is kept."""
        answer = self._post("/logout", self._jar(user), {})
        assert answer.status == 302, (answer.status, answer.text[:500])
        del self._cookies[str(user)]

    def adopt(self, other):
        """Takes over the logins made through another process with the same database."""
        self._cookies.update(other._cookies)

    def set_balance(self, user, value):
        """Sets the user's balance through the site, which saves the row and so fires the signal."""
        answer = self._post("/balance", self._jar(user), {"amount": repr(value)})
        assert answer.status == 302, (answer.status, answer.text[:500])

    def _jar(self, user):
        return {name: morsel.value for name, morsel in http.cookies.SimpleCookie(self.login(user)).items()}

    def _post(self, path, jar, form):
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items()),
            "X-CSRFToken": jar["csrftoken"],
        }
        return request(self.port, "POST", path, urllib.parse.urlencode(form), headers, timeout=20)


def cookies(answer) -> dict[str, str]:
    jar = http.cookies.SimpleCookie()
    for header in answer.headers.get_all("Set-Cookie") or []:
        jar.load(header)
    return {name: morsel.value for name, morsel in jar.items()}
