"""A headless Chromium that tests drive: pages, widths, colour schemes, print, and what a screen reader is told.

It speaks the DevTools protocol through two pipes (``--remote-debugging-pipe``), so that no port is opened.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 120.0
"""What one answer may take, on a busy machine too."""


class Browser:
    """One tab of a browser that was started with pipes on its descriptors 3 and 4."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the DevTools protocol; its events until then are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session := getattr(self, "_session", None):
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(time.monotonic() + SECONDS)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str, width: int = 1100, height: int = 2000, *, dark: bool = False) -> None:
        """Load a page in a window of this size, and wait until its scripts have run."""
        self.resize(width, height)
        self.media("dark" if dark else "light")
        self.events.clear()
        self.call("Page.navigate", url=address)
        end = time.monotonic() + SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next(end)
        self.settle()

    def resize(self, width: int, height: int = 2000) -> None:
        """Another size of the window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )  # fmt: skip

    def media(self, scheme: str, kind: str = "") -> None:
        """A colour scheme that the user prefers, "light" or "dark", and the medium: "" or "print"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[feature])

    def settle(self) -> None:
        """Wait for two frames, in which a page answers to a change of its size."""
        self.run(
            "new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 300))"
        )

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a field for files, as a user does in the dialogue."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def wait_for(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        self.run(
            f"new Promise((done) => {{ const look = () => {condition} ? done() : setTimeout(look, 50); look(); }})"
        )

    def pdf(self) -> bytes:
        """The page as it is printed on A4."""
        answer = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(answer["data"])

    def picture(self, *, whole: bool = True) -> bytes:
        """A PNG of the page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def complaints(self) -> list[str]:
        """Errors of scripts and of the console since the page was opened."""
        told = []
        for event in self.events:
            values = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                told.append(values["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif event["method"] == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
                told.append(str(values["args"]))
            elif event["method"] == "Log.entryAdded" and values["entry"]["level"] == "error":
                told.append(values["entry"]["text"])
        return told

    def asked(self) -> list[str]:
        """Addresses that the page asked for, but for itself and what it has inside."""
        sent = (e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent")
        addresses = [s["request"]["url"] for s in sent if s["type"] != "Document"]
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]

    def spoken(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader meets, in order."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    def _next(self, end: float) -> dict[str, Any]:
        """The next message, an event or an answer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\0" not in self._rest:
                assert selector.select(max(0.0, end - time.monotonic())), "the browser gives no answer"
                more = os.read(self._answers, 1 << 20)
                assert more, "the browser has ended"
                self._rest += more
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


@contextlib.contextmanager
def browser(profile: Path, *, webgl: bool = False) -> Iterator[Browser]:
    """A browser of its own, with its data in ``profile``. ``webgl``: it draws in three dimensions, on the processor."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    if webgl:
        words.remove("--disable-gpu")
        words[1:1] = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    # Its pipes have the numbers 3 and 4, which this process may use itself; other shells know no number above 9.
    shell = f'exec "$@" 3<&{to_read} 4>&{from_write}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *words],
        pass_fds=(to_read, from_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Browser(to_write, from_read)
    finally:
        os.close(to_write)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        os.close(from_read)
