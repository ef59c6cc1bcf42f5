"""Headless Chromium, driven through its DevTools protocol over a WebSocket: pages, JavaScript, screenshots.

with Browser() as browser:
    page = browser.open("http://127.0.0.1:8001/")
    page.wait_for("document.title === 'ready'")
"""

import base64
import itertools
import json
import shutil
import tempfile
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .process import Process
from .waiting import wait_until

# https://chromedevtools.github.io/devtools-protocol/


class Browser(Process):
    name = "chromium"

    def __init__(self):
        super().__init__()
        self._profile = self.directory / "profile"
        self._socket = None
        self._ids = itertools.count(1)
        self.pages: list[Page] = []

    def command(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
        return [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            # No network requests of its own, and no throttling of background pages.
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
            "--remote-debugging-port=0", f"--user-data-dir={self._profile}", "about:blank",
        ]  # fmt: skip

    def ready(self):
        """Chromium writes the port and the path of its WebSocket into a file once it is reachable."""
        lines = (self._profile / "DevToolsActivePort").read_text().split("\n")
        if len(lines) < 2:
            return False
        self._socket = connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None, proxy=None, compression=None)
        return True

    def call(self, method, session=None, timeout=20, **parameters):
        """Sends one command of the protocol and returns its result. Events in the meantime are ignored."""
        id = next(self._ids)
        message = {"id": id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while (reply := json.loads(self._socket.recv(timeout))).get("id") != id:
            pass
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    def open(self, url) -> "Page":
        """Opens a new tab with this page and waits until it is loaded."""
        # A separate browser context, so that no page shares storage or cookies with another.
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        self.pages.append(page)
        page.go(url)
        return page

    def screenshots(self, directory) -> list[Path]:
        """Saves a screenshot of every open page."""
        return [page.screenshot(Path(directory) / f"{number}.png") for number, page in enumerate(self.pages)]

    def testimony(self):
        """Screenshots of its pages, since its output is of no use."""
        if not (self.running and self.pages):
            return "screenshots", ""
        shots = self.screenshots(tempfile.mkdtemp(prefix="tocsin-screenshots-"))
        return "screenshots", "\n".join(map(str, shots))

    def close(self):
        # Closed by command, so that all its processes have exited when its profile is deleted.
        if self._socket:
            try:
                self.call("Browser.close")
                self.wait(10)
            except (TimeoutError, ConnectionClosed):
                pass
            self._socket.close()
        super().close()


class Page:
    def __init__(self, browser, session, target):
        self._browser, self._session, self._target = browser, session, target

    def _call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def go(self, url):
        failed = self._call("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression as JSON; awaits a promise. AssertionError if it throws."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_for(self, expression, timeout=10):
        """The first true value of the expression."""
        return wait_until(lambda: self.evaluate(expression), timeout, expression, every=0.02)

    def text(self, selector="body") -> str:
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def look(self, width, height, scheme="light"):
        """Emulates a screen of this size (CSS pixels) and the user's colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path) -> Path:
        Path(path).write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))
        return Path(path)

    def close(self):
        self._browser.pages.remove(self)
        self._browser.call("Target.closeTarget", targetId=self._target)
