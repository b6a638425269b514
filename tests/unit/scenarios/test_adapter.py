"""The file that describes a foreign API: every mistake with its place, and what went wrong in plain words."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chargepoint.errors import ConfigError
from scenarios.adapter import AdapterError, load_adapter

MISTAKES = """\
base_url: http://127.0.0.1:8080
calls:
  RemoteStartTransacton: {path: "/{cp}/start"}
  Heartbeat: {path: "/{cp}/beat"}
  Reset: {path: "/{station}/reset", body: {how: ["{payloud.type}"]}}
  "*": {path: "/{cp}/{action}", body: "{payload}"}
"""


def test_words_that_mean_nothing_are_mistakes(tmp_path: Path) -> None:
    """A misspelled action would never be asked for, and its rules be left out of a verdict."""
    path = tmp_path / "a.yaml"
    path.write_text(MISTAKES)
    with pytest.raises(ConfigError) as caught:
        load_adapter(path, {})
    assert [problem.removeprefix(f"{path}:") for problem in caught.value.problems] == [
        "3:3: calls.RemoteStartTransacton: is not an action of the central system; "
        "did you mean RemoteStartTransaction?",
        "4:3: calls.Heartbeat: is not an action of the central system; the nearest is Reset",
        "5:11: calls.Reset.path: station is not known here; did you mean action?",
        "5:37: calls.Reset.body: payloud is not known here; did you mean payload?",
    ]


def _asked(path: Path, base_url: str) -> str:
    path.write_text(f'base_url: {base_url}\ncalls: {{"*": {{path: "/x"}}}}\n')
    with pytest.raises(AdapterError) as caught:
        asyncio.run(load_adapter(path, {}).call("CP001", "Reset", {}))
    return str(caught.value)


def test_an_api_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = _asked(tmp_path / "a.yaml", url)
    assert said == f"POST {url}/x: nothing listens there: check base_url and that the API runs"


def test_an_api_that_answers_with_a_page(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async def asked() -> str:
        app = web.Application()
        app.router.add_post("/x", page)
        async with TestServer(app) as server:
            path = tmp_path / "a.yaml"
            path.write_text(f'base_url: {server.make_url("")}\ncalls: {{"*": {{path: "/x"}}}}\n')
            with pytest.raises(AdapterError) as caught:
                await load_adapter(path, {}).call("CP001", "Reset", {})
            return str(caught.value)

    assert asyncio.run(asked()).endswith("/x was answered with no JSON: <html>")
