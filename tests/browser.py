"""Chromium by chromedriver, for tests that look at pages as a reader does."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Browser:
    """One window, spoken to in the WebDriver protocol, and in Chromium's own where that has no word."""

    def __init__(self, port: int, profile: Path) -> None:
        self._base = f"http://127.0.0.1:{port}/session"
        options = {"args": [*CHROMIUM, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        self._base += "/" + self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url: str, width: int = 1400, height: int = 1800) -> None:
        """Load ``url`` in a window of this size; one narrower than 500 px is emulated, as Chromium makes none."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """What ``script`` returns; of a promise, what it comes to."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def console(self) -> list[str]:
        """Messages of the console since the last call, what was blocked among them."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call, but by the browser's own first page."""
        events = [
            json.loads(entry["message"])["message"] for entry in self._call("POST", "/se/log", {"type": "performance"})
        ]
        asked = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in asked if not one["documentURL"].startswith("chrome:")]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def picture(self, path: Path) -> None:
        """The whole page, however long it is."""
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        self._call("DELETE", "")


@contextlib.contextmanager
def process(argv: list[str], url: str, **environment: str) -> Iterator[None]:
    """A server, once it answers; ended by its own number."""
    started = subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            assert time.monotonic() < deadline, f"{argv[0]} does not answer"
            time.sleep(0.2)
        yield
    finally:
        started.terminate()
        started.wait(20)


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[Browser]:
    """A browser of its own, with an empty profile there."""
    driver = shutil.which("chromedriver")
    assert driver, "apt-get install chromium chromium-driver"
    port = free_port()
    started = process([driver, f"--port={port}"], f"http://127.0.0.1:{port}/status")
    with started, contextlib.closing(Browser(port, profile)) as browser:
        yield browser


def screenshots(tmp_path: Path) -> Path:
    """Where pictures go for a person to look at."""
    folder = Path(os.environ.get("DNSLAB_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
