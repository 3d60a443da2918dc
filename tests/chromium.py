"""A headless Chromium, driven by its DevTools protocol, for tests of pages."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tornado.websocket import websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser's path, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One window of a browser of its own; use it as an asynchronous context."""

    def __init__(self, profile: Path, url: str):
        self.profile, self.url = profile, url
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._n = 0

    async def __aenter__(self) -> "Browser":
        program = chromium()
        assert program is not None
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        words += [f"--user-data-dir={self.profile}", "--window-size=1650,1300", "about:blank"]
        self._process = subprocess.Popen([program, *words], stderr=subprocess.DEVNULL)
        port = await self._port()
        with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            targets = json.load(answer)
        page = next(t for t in targets if t["type"] == "page")
        self._socket = await websocket_connect(
            page["webSocketDebuggerUrl"], max_message_size=1 << 28
        )
        for domain in ("Network", "Page", "Runtime", "Log"):
            await self.ask(f"{domain}.enable")
        await self.ask("Page.navigate", url=self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 20)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; what the page asked for or complained of is noted meanwhile."""
        self._n += 1
        await self._socket.write_message(
            json.dumps({"id": self._n, "method": method, "params": params})
        )
        while True:
            raw = await self._socket.read_message()
            assert raw is not None, "the browser is gone"
            told = json.loads(raw)
            self._note(told)
            if told.get("id") == self._n:
                assert "error" not in told, told
                return told["result"]

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to on the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 60) -> Any:
        """Wait for an expression to become true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := await self.value(expression):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {expression}; {self.errors}")

    async def picture(self, path: Path) -> None:
        """Save what is seen as a PNG."""
        answer = await self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def _note(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif told.get("method") == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif told.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["text"])
        elif told.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    async def _port(self) -> int:
        file = self.profile / "DevToolsActivePort"
        for _ in range(400):
            if file.exists() and (text := file.read_text()).count("\n"):
                return int(text.splitlines()[0])
            await asyncio.sleep(0.1)
        raise AssertionError("the browser did not start")
