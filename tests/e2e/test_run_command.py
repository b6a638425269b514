"""`chargepoint run` as a user meets it: why it does not connect, how it charges, how it ends."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.shell import Program, forked, greeter, having, refusing_port

AN_HOUR = ("--clock=stepped", "--for=1h")
"""Attempts follow each other as the station's time goes, of which an hour is over at once: dozens of them."""

TLS_ALERT = bytes.fromhex("15030100020246")  # as OpenSSL answers plain text: fatal, protocol version
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


def http(status: str) -> Callable[[bytes], bytes]:
    """A server that answers every request so."""
    return lambda request: f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


def websocket_without_ocpp(request: bytes) -> bytes:
    """A WebSocket handshake that agrees to no subprotocol."""
    key = re.search(rb"Sec-WebSocket-Key: *(\S+)", request, re.IGNORECASE)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + ACCEPT_GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


REFUSALS = {
    "wrong-password": (http("401 Unauthorized"), "refuses these credentials (HTTP 401): check identity"),
    "not-found": (http("404 Not Found"), "does not know this address (HTTP 404): check identity and path"),
    "no-ocpp16": (websocket_without_ocpp, "did not agree to the subprotocol ocpp1.6: enable OCPP 1.6-J"),
    "tls-needed": (lambda request: TLS_ALERT, "expects TLS: write wss:// instead of ws://"),
    "no-websocket": (http("200 OK"), "answers HTTP 200 instead of opening a WebSocket: check the path"),
}


@pytest.mark.parametrize(("answer", "why"), REFUSALS.values(), ids=REFUSALS)
def test_the_first_failure_to_connect_is_explained_and_not_repeated(
    answer: Callable[[bytes], bytes], why: str, tmp_path: Path
) -> None:
    with greeter(answer) as server:
        url = f"ws://127.0.0.1:{server.port}/ocpp"
        done = forked("run", "--csms", url, *AN_HOUR, cwd=tmp_path)
        assert server.visits >= 20
    assert done.returncode == 0
    (reason,) = having(done.stdout.splitlines(), "not connected")
    assert why in reason


def test_a_closed_port_is_explained_once(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{refusing_port()}"
    done = forked("run", "--csms", url, *AN_HOUR, cwd=tmp_path)
    assert done.returncode == 0
    (reason,) = having(done.stdout.splitlines(), "not connected")
    assert "nothing listens at" in reason


@pytest.mark.parametrize("path", ["", "/", "/CP%201", "/ocpp", "/ocpp/", "/ocpp/CP%201"])
def test_the_final_url_is_printed_and_holds_the_identity_once(path: str, tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{refusing_port()}"
    arguments = ("--csms", url + path, "--id=CP 1", "--for=0")
    done = forked("run", *arguments, cwd=tmp_path)
    final = f"{url}/ocpp/CP%201" if "ocpp" in path else f"{url}/CP%201"
    assert done.stdout.splitlines()[0] == f"CP 1 connects to {final}"


def test_without_csms_it_charges_at_an_embedded_one_and_the_sessions_are_kept(tmp_path: Path) -> None:
    clock = ("--clock=stepped", "--start=2026-05-01T08:00:00Z", "--for=8h")
    done = forked("run", *clock, "--connectors=2", "--vehicle=city", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "No --csms given: an embedded central system was started."
    assert having(lines, "connector 2  Available")
    assert having(lines, "registration Accepted")
    delivered = having(lines, "transaction delivered")
    assert len(delivered) >= 2
    assert lines[-1] == f"ended in good order after {len(delivered)} transactions"
    listed = forked("sessions", "--csv", cwd=tmp_path).stdout.splitlines()
    assert len(listed) == 1 + len(delivered)


def test_flags_override_the_file(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{refusing_port()}"
    (tmp_path / "station.yaml").write_text(
        f"identity: FILE\ncsms: {{url: {url}/file}}\nconnectors: [{{}}, {{}}]\nstorage: kept\n"
    )
    plain = forked("run", "--config=station.yaml", "--for=0", cwd=tmp_path).stdout
    assert f"FILE connects to {url}/file/FILE" in plain
    assert "kept in kept" in plain
    assert "connector 2" in plain
    flags = ("--id=FLAG", "--csms", f"{url}/flag", "--connectors=1", "--storage=elsewhere")
    changed = forked("run", "--config=station.yaml", *flags, "--for=0", cwd=tmp_path).stdout
    assert f"FLAG connects to {url}/flag/FLAG" in changed
    assert "kept in elsewhere" in changed
    assert "connector 2" not in changed


MISTAKES = {
    "no-websocket-url": (("--csms=http://x",), "--csms: is not a URL that can be used; write ws://"),
    "password-in-url": (("--csms=ws://u:p@x",), "must not contain a password"),
    "unknown-vehicle": (
        ("--vehicle=bicycle",),
        "--vehicle: no vehicle 'bicycle'; there are bus, city, compact",
    ),
    "no-connectors": (("--connectors=0",), "--connectors: must be from 1"),
    "unknown-clock": (("--clock=fast",), "'fast' is no clock: write wall, stepped, or a speed such as x60"),
    "unknown-duration": (("--for=soon",), "'soon' is no duration"),
    "start-of-real-time": (("--start=2026-05-01",), "--start needs --clock xN or --clock stepped"),
    "stepped-without-end": (("--clock=stepped",), "--clock stepped needs --for DURATION, or --control"),
    "no-such-file": (("--config=none.yaml",), "none.yaml: cannot be read (No such file or directory)"),
    "broken-file": (
        ("--config=broken.yaml",),
        "broken.yaml:2: csms.urll: is not a known key; did you mean url?",
    ),
    "no-place-for-the-trace": (("--trace=none/t.jsonl",), "trace none/t.jsonl: No such file or directory"),
    "no-place-for-the-store": (("--storage=broken.yaml",), "broken.yaml"),
}


@pytest.mark.parametrize(("arguments", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_remedy(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.yaml").write_text("csms:\n  urll: ws://x\n")
    done = forked("run", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]


def test_a_script_reads_json_lines_only(tmp_path: Path) -> None:
    commands = (
        '{"cmd": "advance", "seconds": 10, "id": 1}\n{"cmd": "plug_in", "connector": 1, "id": 2}\n'
        '{"cmd": "swipe", "id_tag": "04E12345", "id": 3}\n{"cmd": "advance", "seconds": 600, "id": 4}\n'
        '{"cmd": "status", "id": 5}\n{"cmd": "shutdown", "id": 6}\n'
    )
    arguments = ("--control=stdio", "--clock=stepped", "--trace=t.jsonl")
    done = forked("run", *arguments, cwd=tmp_path, stdin=commands)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["event"] == "ready"
    replies = [line for line in lines if "event" not in line]
    assert [(reply["id"], reply["ok"]) for reply in replies] == [(n, True) for n in range(1, 7)]
    assert replies[4]["connectors"][0]["status"] == "Charging"
    assert (tmp_path / "t.jsonl").read_text().count('"action":"StartTransaction"') == 2


def test_a_vehicle_that_does_not_fit_keeps_the_simulated_driver_away(tmp_path: Path) -> None:
    (tmp_path / "dc.yaml").write_text("connectors: [{current: dc}]\nvehicle: plug-in-hybrid\nstorage: null\n")
    done = forked("run", "--config=dc.yaml", "--clock=stepped", "--for=10m", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert having(done.stdout.splitlines(), "the simulated driver stays away: vehicle plug-in-hybrid has no")


# --- how it ends ------------------------------------------------------------------------------------

CHARGING = ("run", "--clock=x60", "--storage=kept", "--drive")


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)],
    ids=["ctrl-c", "terminate", "as-timeout-does"],
)
def test_a_signal_while_it_charges_ends_in_good_order(signals: tuple[int, ...], tmp_path: Path) -> None:
    with Program(*CHARGING, cwd=tmp_path) as program:
        program.until("connector 1  Charging")
        program.signal(*signals)
        assert program.end() == 0
        assert having(program.lines, "Wh (Reboot)")
        assert having(program.lines, "transaction delivered")
        assert program.lines[-1] == "ended in good order after 1 transaction"


def test_a_second_signal_ends_at_once_and_the_next_start_delivers(tmp_path: Path) -> None:
    (tmp_path / "csms").mkdir()
    with Program("csms", "--port=0", "--json", cwd=tmp_path / "csms") as csms:
        url = json.loads(csms.until('"ready"'))["url"]
        csms.say('{"answer": "StopTransaction", "silent": true}')
        csms.until('"ok"')
        with Program(*CHARGING, "--csms", url, cwd=tmp_path) as program:
            program.until("connector 1  Charging")
            program.signal(signal.SIGINT)
            csms.until('"StopTransaction"')  # from here on only the answer is missing
            program.press_ctrl_c_until_it_ends()
            assert program.end() == 130
        csms.say('{"answer": "StopTransaction", "payload": null}')
        done = forked("run", "--csms", url, "--storage=kept", "--for=3s", cwd=tmp_path)
        assert having(done.stdout.splitlines(), "transaction delivered")


def test_what_could_not_be_delivered_is_counted_and_kept(tmp_path: Path) -> None:
    stepped = ("--storage=kept", "--drive", "--clock=stepped")
    with Program("csms", "--port=0", "--json", cwd=tmp_path) as csms:
        url = json.loads(csms.until('"ready"'))["url"]
        # Its card is then in the authorization cache, and valid without a central system (OCPP 1.6 §4.1).
        online = forked("run", "--csms", url, *stepped, "--for=1m", cwd=tmp_path)
        assert having(online.stdout.splitlines(), "transaction delivered")
        csms.say('{"cmd": "shutdown"}')
        assert csms.end() == 0
    offline = forked("run", "--csms", url, *stepped, "--for=5m", cwd=tmp_path)
    lines = offline.stdout.splitlines()
    assert re.fullmatch(
        r"ended in good order after 1 transaction; \d+ messages not delivered, kept for the next start",
        lines[-1],
    )


def test_a_damaged_store_is_told_and_the_station_goes_on(tmp_path: Path) -> None:
    (tmp_path / "CP001.sqlite3").write_bytes(b"no database at all" * 500)
    ran = forked("run", "--storage", str(tmp_path), *AN_HOUR, cwd=tmp_path)
    assert ran.returncode == 0
    told = [line for line in ran.stdout.splitlines() if "was damaged" in line]
    assert len(told) == 1
    assert len(list(tmp_path.glob("CP001.sqlite3.damaged-*"))) == 1


def test_the_same_seed_in_the_same_folder_gives_the_same_frames(tmp_path: Path) -> None:
    """A repeatable run remembers nothing of the one before."""
    command = ["run", "--clock", "stepped", "--start", "2026-05-01", "--for", "3h", "--seed", "5", "--trace"]
    texts = []
    for name in ("first.jsonl", "second.jsonl"):
        assert forked(*command, name, cwd=tmp_path).returncode == 0
        records = map(json.loads, (tmp_path / name).read_text().splitlines())
        texts.append([record["raw"] for record in records if "raw" in record])
    assert len(texts[0]) > 100
    assert texts[0] == texts[1]
