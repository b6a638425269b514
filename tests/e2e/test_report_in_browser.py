"""The report of a run on a phone: a real browser of 400 pixels, real clicks, no script."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from chargepoint.cli.main import main

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.search,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)"),
]

LONG = "A_word_that_nobody_breaks_" * 5
STORY = f"""\
title: {LONG}
tags: [x]
steps:
  - send: {{action: DataTransfer, payload: {{vendorId: V, data: {LONG}}}}}
  - plug_in: {{connector: 1, ev: compact}}
  - swipe: {{id_tag: TAG1}}
  - wait: 10m
  - expect: {{frame: StartTransaction, where: {{idTag: {LONG}}}, within: 3s}}
"""

BEYOND = """
(() => {
  const clipped = (e) => e && e !== document.body
    && (getComputedStyle(e).overflowX !== 'visible' || clipped(e.parentElement));
  return [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !clipped(e.parentElement))
    .map((e) => e.tagName + ' ' + e.textContent.slice(0, 60));
})()
"""

CLOSED = """
(() => {
  const one = [...document.querySelectorAll('details.frame:not([open]) > summary')]
    .find((e) => e.getBoundingClientRect().height > 0);
  if (!one) return null;
  one.scrollIntoView({block: 'center'});
  const at = one.getBoundingClientRect();
  return {x: at.left + 15, y: at.top + at.height / 2};
})()
"""


class Tab:
    """One page of a browser, driven over its DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0

    async def command(self, method: str, **parameters: Any) -> Any:
        """One command and its result."""
        self._count += 1
        await self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while (answer := json.loads(await self._socket.recv())).get("id") != self._count:
            pass
        return answer["result"]

    async def value(self, expression: str) -> Any:
        """What the page says; this works where the page itself may run no script."""
        answer = await self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def click(self, at: dict[str, float]) -> None:
        """A real click."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)


@asynccontextmanager
async def phone(folder: Path) -> AsyncIterator[Tab]:
    """A browser as narrow as a phone, without script."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    browser = subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert browser.stderr is not None
        told = b""
        while b"DevTools listening on" not in told:
            told = await asyncio.to_thread(browser.stderr.readline)
            assert told, "the browser ended"
        address = told.split()[-1].decode().split("/")[2]
        with urllib.request.urlopen(f"http://{address}/json") as answer:
            (page,) = [target for target in json.load(answer) if target["type"] == "page"]
        async with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            tab = Tab(socket)
            await tab.command("Page.enable")
            await tab.command("Emulation.setScriptExecutionDisabled", value=True)
            await tab.command(
                "Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True
            )
            yield tab
    finally:
        browser.terminate()
        browser.communicate(timeout=100)


def test_on_a_phone_nothing_sticks_out_and_frames_unfold_by_a_click(tmp_path: Path) -> None:
    (tmp_path / "story.yaml").write_text(STORY)
    report = tmp_path / "report.html"
    names = [
        str(tmp_path / "story.yaml"),
        "library:csms/commands-core",
        "library:smart-charging/site-managed",
    ]
    assert main(["scenario", "run", *names, "--report", str(report)]) == 1

    async def look() -> None:
        async with phone(tmp_path / "profile") as tab:
            await tab.command("Page.navigate", url=report.as_uri())
            async with asyncio.timeout(120):
                while await tab.value("document.readyState + document.title") in ("", "loading"):
                    pass
                while not await tab.value("document.querySelectorAll('details.frame').length"):
                    pass
            assert await tab.value("[innerWidth, document.documentElement.scrollWidth]") == [400, 400]
            assert await tab.value(BEYOND) == []
            shown = "[...document.querySelectorAll('details.frame[open] pre')].map((e) => e.textContent)"
            assert await tab.value(shown) == []
            for n in (1, 2, 3):
                await tab.click(await tab.value(CLOSED))
                async with asyncio.timeout(60):
                    while len(await tab.value(shown)) < n:
                        pass
            assert '"BootNotification"' in (await tab.value(shown))[0]
            await tab.value("document.querySelectorAll('details').forEach((e) => e.setAttribute('open', ''))")
            assert await tab.value(BEYOND) == []

    asyncio.run(look())
