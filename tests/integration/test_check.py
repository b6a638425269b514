"""`chargepoint check`: each step, its remedy and the exit code."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from chargepoint.cli.check import check
from chargepoint.store import SqliteStore
from tests.integration.link_rig import Csms, Rude, answering, play, rude_server
from tests.integration.test_link_proxy import proxy
from tests.integration.test_link_tls import serving
from tests.integration.tls_material import Authority

STEPS = ["name", "tcp", "tls", "certificate", "websocket", "authentication", "boot"]


class BootCsms(Csms):
    """Answers BootNotification after a ping and a CALL of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None, **answer: Any) -> None:
        super().__init__(tls)
        self.boots: list[Any] = []
        self._answer = answer

    async def _serve(self, connection: ServerConnection) -> None:
        _, message_id, action, payload = json.loads(await connection.recv())
        self.boots.append((action, payload))
        await connection.ping()
        await connection.send('[2,"1","GetConfiguration",{}]')
        now = datetime.now(UTC) + timedelta(seconds=self._answer.pop("clock_s", 0))
        answer = {
            "status": "Accepted",
            "interval": 300,
            "currentTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        } | self._answer
        text = self._answer.get("text") or json.dumps([3, message_id, answer])
        await connection.send(text.replace("ID", message_id))
        await connection.wait_closed()


async def _run(*arguments: str, password: str | None = None) -> Result:
    """The command, in a thread, since it blocks."""
    return await asyncio.to_thread(CliRunner().invoke, check, list(arguments), input=password)


async def _steps(
    url: str, *arguments: str, password: str | None = None
) -> tuple[dict[str, dict[str, Any]], int]:
    """The steps by name, and the exit code."""
    endpoint = url.removesuffix("/CP1")
    result = await _run("--csms", endpoint, "--id", "CP1", "--json", *arguments, password=password)
    report = json.loads(result.stdout)
    assert report["ok"] is (result.exit_code == 0)
    assert [step["name"] for step in report["steps"]] == STEPS
    return {step["name"]: step for step in report["steps"]}, result.exit_code


def _results(steps: dict[str, dict[str, Any]]) -> list[str]:
    return [step["result"] for step in steps.values()]


def test_all_good_without_tls() -> None:
    async def story() -> None:
        async with BootCsms() as csms:
            steps, code = await _steps(csms.url)
            assert code == 0
            assert _results(steps) == ["ok", "ok", "skip", "skip", "ok", "skip", "ok"]
            assert csms.boots == [
                ("BootNotification", {"chargePointVendor": "Example", "chargePointModel": "Wallbox"})
            ]
            assert "Accepted, interval 300 s" in steps["boot"]["message"]

    play(story())


def test_lines_for_people() -> None:
    async def story() -> None:
        async with BootCsms() as csms:
            result = await _run("--csms", csms.url, "--id", "CP1", "--no-boot")
            assert result.exit_code == 0
            assert csms.boots == []
            lines = result.output.splitlines()
            assert lines[0] == f"Checking {csms.url}"
            assert [line.split()[:2] for line in lines[1:]] == [
                ["ok", "name"],
                ["ok", "tcp"],
                ["skip", "tls"],
                ["skip", "certificate"],
                ["ok", "websocket"],
                ["skip", "authentication"],
                ["skip", "boot"],
            ]
            assert "\x1b" not in result.output
            told = await _run("--csms", csms.url, "--id", "CP1")
            assert "sends a real BootNotification" in told.output

    play(story())


def test_everything_at_once(tmp_path: Path) -> None:
    """Security profile 2, guessed from wss:// and a password."""

    async def story() -> None:
        authority = Authority(tmp_path)
        csms = BootCsms(serving(authority.issue("localhost")))
        async with csms:
            url = csms.url.replace("127.0.0.1", "localhost")
            steps, code = await _steps(
                url, "--ca", authority.ca, "--user-password-stdin", password="secret\n"
            )
            assert code == 0
            assert _results(steps) == ["ok"] * 7
            assert "TLSv1.3" in steps["tls"]["message"]
            assert "issued by Test Root" in steps["certificate"]["message"]
            assert csms.requests[0].headers["Authorization"] == "Basic Q1AxOnNlY3JldA=="

    play(story())


@pytest.mark.parametrize(
    ("issued", "step", "says"),
    [
        pytest.param({"days": (-1, 10)}, None, "have it renewed", id="expires-soon"),
        pytest.param({"days": (-9, -1)}, "tls", "has expired", id="expired"),
        pytest.param({"common_name": "other.example"}, "certificate", "other.example", id="wrong-name"),
    ],
)
def test_certificates(tmp_path: Path, issued: dict[str, Any], step: str | None, says: str) -> None:
    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        authority = Authority(tmp_path)
        csms = BootCsms(serving(authority.issue(**({"common_name": "localhost"} | issued))))
        async with csms:
            url = csms.url.replace("127.0.0.1", "localhost")
            steps, code = await _steps(url, "--ca", authority.ca)
            at = STEPS.index(step or "certificate")
            assert code == (1 if step else 0)
            assert _results(steps)[at] == ("FAIL" if step else "warn")
            assert says in steps[STEPS[at]]["message"]
            if step:
                assert set(_results(steps)[at + 1 :]) == {"skip"}

    play(story())


def test_an_unknown_authority_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        csms = BootCsms(serving(Authority(tmp_path, "Stranger").issue("localhost")))
        async with csms:
            steps, _ = await _steps(csms.url, "--ca", Authority(tmp_path).ca)
            assert "unknown CA" in steps["tls"]["message"]
            assert "issued by CN=Stranger" in steps["tls"]["message"]

    play(story())


def test_plain_text_to_a_tls_port(tmp_path: Path) -> None:
    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with BootCsms(serving(Authority(tmp_path).issue("localhost"))) as csms:
            steps, code = await _steps(csms.url.replace("wss:", "ws:"))
            assert code == 1
            assert steps["websocket"]["result"] == "FAIL"
            assert "write wss://" in steps["websocket"]["message"]

    play(story())


@pytest.mark.parametrize(
    ("behave", "step", "says"),
    [
        pytest.param(answering(b"HTTP/1.1 401 No\r\n\r\n"), "authentication", "HTTP 401", id="401"),
        pytest.param(answering(b"HTTP/1.1 404 No\r\n\r\n"), "websocket", "HTTP 404", id="404"),
        pytest.param(answering(b"HTTP/1.1 503 No\r\n\r\n"), "websocket", "HTTP 503", id="503"),
        pytest.param(answering(b"SSH-2.0-x\r\n"), "websocket", "does not speak HTTP", id="rubbish"),
        pytest.param(answering(b""), "websocket", "closed the connection", id="closes"),
        pytest.param(answering(b"", then_wait=True), "websocket", "not answered in time", id="silent"),
    ],
)
def test_servers_that_are_no_csms(behave: Rude, step: str, says: str) -> None:
    async def story() -> None:
        async with rude_server(behave) as url:
            steps, code = await _steps(url, "--timeout", "0.3")
            assert code == 1
            assert steps[step]["result"] == "FAIL"
            assert says in steps[step]["message"]
            assert [result for result in _results(steps) if result == "FAIL"] == ["FAIL"]

    play(story())


@pytest.mark.parametrize(
    ("answer", "result", "says"),
    [
        pytest.param({"status": "Pending"}, "warn", "waits to be accepted", id="pending"),
        pytest.param({"status": "Rejected"}, "FAIL", "register", id="rejected"),
        pytest.param({"clock_s": -3600}, "warn", "set the clock", id="clock-an-hour-apart"),
        pytest.param({"currentTime": "yesterday"}, "FAIL", "no BootNotification.conf", id="bad-time"),
        pytest.param(
            {"text": '[4,"ID","InternalError","out of order",{}]'}, "FAIL", "out of order", id="error"
        ),
        pytest.param({"text": '[3,"ID",null]'}, "FAIL", "no BootNotification.conf", id="null"),
        pytest.param({"text": "gibberish"}, "FAIL", "not answered in time", id="no-answer"),
    ],
)
def test_boot_answers(answer: dict[str, Any], result: str, says: str) -> None:
    async def story() -> None:
        async with BootCsms(**answer) as csms:
            steps, code = await _steps(csms.url, "--timeout", "0.5" if "text" in answer else "5")
            assert steps["boot"]["result"] == result
            assert says in steps["boot"]["message"]
            assert code == (1 if result == "FAIL" else 0)

    play(story())


def test_a_server_that_closes_instead_of_answering() -> None:
    async def story() -> None:
        class Closing(Csms):
            async def _serve(self, connection: ServerConnection) -> None:
                await connection.recv()
                await connection.close(1008, "who are you")

        async with Closing() as csms:
            steps, _ = await _steps(csms.url)
            assert steps["boot"]["result"] == "FAIL"
            assert "who are you" in steps["boot"]["message"]

    play(story())


def test_refused_and_unknown() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        steps, code = await _steps(f"ws://127.0.0.1:{port}")
        assert code == 1
        assert _results(steps) == ["ok", "FAIL", *["skip"] * 5]
        steps, _ = await _steps("ws://a..b")
        assert _results(steps) == ["FAIL", *["skip"] * 6]

    play(story())


def test_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with BootCsms() as csms, proxy() as (address, requests):
            (tmp_path / "station.yaml").write_text(f"csms: {{proxy: '{address}'}}\n")
            steps, code = await _steps(csms.url, "--config", str(tmp_path / "station.yaml"))
            assert code == 0
            assert "through" in steps["tcp"]["message"]
            assert len(requests) == 1

    play(story())


def test_configuration_file_and_what_overrides_it(tmp_path: Path) -> None:
    async def story() -> None:
        def only_with_password(request: Request) -> Response | None:
            right = request.headers.get("Authorization") == "Basic Q1A3OmZyb20gZmlsZQ=="
            return None if right else Response(401, "Unauthorized", Headers({"Content-Length": "0"}))

        async with BootCsms() as csms:
            csms.answer = only_with_password
            endpoint = csms.url.removesuffix("/CP1")
            (tmp_path / "station.yaml").write_text(
                f"identity: CP7\n"
                f"csms: {{url: '{endpoint}', security_profile: 1, authorization_key: from file}}\n"
                "station: {vendor: Acme, model: One, serial_number: 'S 1'}\n"
            )
            file = str(tmp_path / "station.yaml")
            result = await _run("--config", file)
            assert result.exit_code == 0, result.output
            assert "from file" not in result.output
            assert csms.boots[0][1] == {
                "chargePointVendor": "Acme",
                "chargePointModel": "One",
                "chargePointSerialNumber": "S 1",
                "firmwareVersion": "1.0.0",
            }
            (tmp_path / "password").write_text("another\n")
            result = await _run("--config", file, "--password-file", str(tmp_path / "password"))
            assert result.exit_code == 1
            assert "HTTP 401" in result.output
            assert "another" not in result.output

    play(story())


def test_what_the_central_system_has_stored_wins_over_the_file(tmp_path: Path) -> None:
    """The station would use it, so this does, and says so without showing it."""

    async def story() -> None:
        def only_with_new_key(request: Request) -> Response | None:
            right = request.headers.get("Authorization") == "Basic Q1A3Om5ldyBrZXkgb2YgdGhlIENTTVM="
            return None if right else Response(401, "Unauthorized", Headers({"Content-Length": "0"}))

        async with BootCsms() as csms:
            csms.answer = only_with_new_key
            endpoint = csms.url.removesuffix("/CP1")
            (tmp_path / "station.yaml").write_text(
                "identity: CP7\nstorage: remembered\n"
                f"csms: {{url: '{endpoint}', security_profile: 1, authorization_key: from file}}\n"
            )
            file = str(tmp_path / "station.yaml")
            assert (await _run("--config", file)).exit_code == 1

            with closing(SqliteStore.open(tmp_path / "remembered", "CP7")) as store:
                store.put("connection_security", "proven", {"key": "new key of the CSMS"})
                store.commit()
            result = await _run("--config", file)
            assert result.exit_code == 0, result.output
            assert "With another AuthorizationKey: so says" in result.output
            assert "CP7.sqlite3, which wins over the configuration." in result.output
            assert "new key" not in result.output
            report = json.loads((await _run("--config", file, "--json")).stdout)
            assert report["remembered"].startswith("With another AuthorizationKey")
            elsewhere = await _run("--config", file, "--storage", str(tmp_path / "elsewhere"))
            assert elsewhere.exit_code == 1  # the file alone

            (tmp_path / "password").write_text("new key of the CSMS")
            given = await _run("--config", file, "--password-file", str(tmp_path / "password"))
            assert given.exit_code == 0
            assert "so says" not in given.output

            (tmp_path / "remembered" / "CP7.sqlite3").write_bytes(b"no database at all" * 100)
            result = await _run("--config", file)
            assert result.exit_code == 1
            assert "With the configuration alone, since the store cannot be read" in result.output

    play(story())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "--csms URL and --id ID", id="nothing"),
        pytest.param(["--csms", "ws://h"], "--id ID", id="no-identity"),
        pytest.param(["--csms", "http://h", "--id", "CP1"], "ws://host/path", id="not-ws"),
        pytest.param(
            ["--csms", "ws://u:pw@h", "--id", "CP1"], "must not contain a password", id="password-in-url"
        ),
        pytest.param(
            ["--csms", "ws://h", "--id", "C", "--security-profile", "1"], "needs a password", id="no-password"
        ),
        pytest.param(["--csms", "ws://h", "--id", "C", "--timeout", "0"], "--timeout", id="no-patience"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(check, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_a_broken_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "station.yaml").write_text("identity: CP1\nconnectorz: []\n")
    result = CliRunner().invoke(check, ["--config", str(tmp_path / "station.yaml")])
    assert result.exit_code == 2
    assert "connectorz" in result.output
