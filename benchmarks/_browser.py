"""Headless Chromium over the DevTools protocol: open a page, read its console, take a picture."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
_START = 60.0  # s until the browser listens
_IDLE = 1.0  # s without a request after which a page counts as loaded
_LIMIT = 300_000_000  # bytes of a message; a screenshot is one
_NAVIGATED = "Inspected target navigated or closed"  # the browser's words


class PageNavigated(RuntimeError):
    """The page was left for another one while a script ran in it."""


class Tab:
    """One page of the browser.

    Args:
        connection: websocket of the page's debugger.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, height: int = 900, wait: float = 60.0) -> None:
        """Load a page at a window size in px; return when it has been idle for a second.

        Raises:
            ConnectionError: no server answers.
        """
        self.resize(width, height)
        self._events = []
        self._call("Page.navigate", url="about:blank")  # else a new fragment loads nothing
        self.settle(wait)
        self._events = []
        loaded = self._call("Page.navigate", url=url)
        if "errorText" in loaded:
            raise ConnectionError(f"{url}: {loaded['errorText']}")
        self.settle(wait)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window, px."""
        mobile = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def settle(self, wait: float = 60.0) -> None:
        """Wait until the page is loaded and no request was open for a second, at most `wait` s."""
        deadline, quiet = time.monotonic() + wait, time.monotonic()
        while time.monotonic() < min(deadline, quiet + _IDLE):
            if self._receive(0.1) or self._open_requests() or not self._is_loaded():
                quiet = time.monotonic()

    def wait_for(self, text: str, wait: float = 60.0) -> None:
        """Wait until the page shows a text.

        Raises:
            TimeoutError: it does not show the text.
        """
        deadline = time.monotonic() + wait
        contains = f"(document.body?.innerText ?? '').includes({json.dumps(text)})"
        while not self._is_true(contains):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the page does not show {text!r} within {wait:g} s")
            self._receive(0.2)

    def _is_true(self, script: str) -> bool:
        """Return whether an expression is true; a page that is just left has no value."""
        try:
            return bool(self.evaluate(script))
        except PageNavigated:
            return False

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is awaited.

        Raises:
            RuntimeError: the script fails.
        """
        result = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def barriers(self) -> list[str]:
        """Return the serious and critical findings of axe-core on the page."""
        script = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
        self.evaluate(f"{script};0")
        return self.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations"
            ".filter(finding => ['serious', 'critical'].includes(finding.impact)).map(finding =>"
            " finding.id + ': ' + finding.nodes.map(node => node.html).join(' | ')))"
        )

    def cut_tables(self) -> list[str]:
        """Return the texts of the tables that are wider than the element around them."""
        return self.evaluate(
            "[...document.querySelectorAll('table')].filter(table => table.offsetParent &&"
            " table.scrollWidth > table.parentElement.clientWidth + 1)"
            ".map(table => table.innerText)"
        )

    def errors(self) -> list[str]:
        """Return the errors in the console since the page was opened."""
        return [text for event in self._events if (text := _error(event))]

    def requests(self) -> list[str]:
        """Return the addresses that the page requested."""
        sent = [event for event in self._events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def screenshot(self, file: Path, *, whole: bool = False) -> Path:
        """Write a PNG of the window, or of the whole page."""
        options: dict[str, Any] = {"format": "png"}
        if whole:
            size = self._call("Page.getLayoutMetrics")["cssContentSize"]
            options |= {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        content = self._call("Page.captureScreenshot", **options)["data"]
        file.write_bytes(base64.b64decode(content))
        return file

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            response = self._receive(60.0)
            if response and response.get("id") == self._number:
                if "error" in response:
                    if _NAVIGATED in str(response["error"]):
                        raise PageNavigated(method)
                    raise RuntimeError(f"{method}: {response['error']}")
                return response["result"]

    def _receive(self, timeout: float) -> dict[str, Any] | None:
        try:
            message = json.loads(self._connection.recv(timeout=timeout))
        except TimeoutError:
            return None
        if "method" in message:
            self._events.append(message)
        return message

    def _is_loaded(self) -> bool:
        return any(event["method"] == "Page.loadEventFired" for event in self._events)

    def _open_requests(self) -> bool:
        sent = {
            event["params"]["requestId"]
            for event in self._events
            if event["method"] == "Network.requestWillBeSent"
        }
        ended = {
            event["params"]["requestId"]
            for event in self._events
            if event["method"] in {"Network.loadingFinished", "Network.loadingFailed"}
        }
        return bool(sent - ended)


@contextmanager
def browser(profile: Path) -> Generator[Tab]:
    """Run headless Chromium with an empty profile and return its page.

    The folder `profile` must not exist yet.

    Raises:
        FileNotFoundError: chromium is not installed.
        TimeoutError: it does not start.
    """
    if CHROMIUM is None:
        raise FileNotFoundError("chromium is not installed; install the package chromium")
    command = [CHROMIUM, *_FLAGS[:-1], f"--user-data-dir={profile}", _FLAGS[-1]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with urlopen(Request(f"http://127.0.0.1:{port}/json/list"), timeout=30) as response:
            pages = [one for one in json.load(response) if one["type"] == "page"]
        url = pages[0]["webSocketDebuggerUrl"]
        # A busy machine answers pings late, and each call has a time limit.
        with connect(url, max_size=_LIMIT, ping_interval=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(file: Path, process: "subprocess.Popen[bytes]") -> int:
    """Return the port on which the browser listens, as soon as it has written it."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    raise TimeoutError(f"chromium did not start within {_START:.0f} s ({process.poll()})")


def _error(event: dict[str, Any]) -> str:
    """Return the text of an event that the console shows as an error; else an empty text."""
    parameters = event.get("params", {})
    if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
        return f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}".strip()
    if event["method"] == "Runtime.exceptionThrown":
        details = parameters["exceptionDetails"]
        return str(details.get("exception", {}).get("description", details["text"]))
    if event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in {"error", "assert"}:
        return " ".join(
            str(argument.get("value", argument.get("description")))
            for argument in parameters["args"]
        )
    return ""
