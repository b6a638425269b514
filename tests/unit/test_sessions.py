"""`chargepoint sessions`: what a store remembers, as a table, as text and as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargepoint.cli.main import main
from chargepoint.store import SqliteStore

ROOT = Path(__file__).parents[2]
DAY_S = 86400.0
START = 1777629600.0  # 2026-05-01 10:00:00 UTC

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    """Local time is not UTC, so that mixing them up shows."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["sessions", *map(str, arguments)])
        return code, *capsys.readouterr()

    return command


def charge(number: int, **changes: Any) -> dict[str, Any]:
    """A charge of 7.4 kWh in one hour, on its own day."""
    started_at = START + number * DAY_S
    document = {
        "key": f"{number:012}",
        "connector": 1,
        "id_tag": "04E12345",
        "parent": None,
        "started_at": started_at,
        "meter_start_wh": 1000,
        "csms_id": 40 + number,
        "stopped_at": started_at + 3600.4,
        "meter_stop_wh": 8400,
        "reason": "Local",
        "delivered_at": started_at + 3601.0,
        "last_at": started_at + 3590.0,
        "last_wh": 8390.2,
    }
    return document | changes


RUNNING = {"stopped_at": None, "meter_stop_wh": None, "reason": None, "delivered_at": None, "csms_id": None}


def remember(directory: Path, *charges: dict[str, Any], identity: str = "CP001") -> SqliteStore:
    store = SqliteStore.open(directory, identity)
    for document in charges:
        store.put("transaction", document["key"], document)
    store.commit()
    return store


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """Three charges of two cards, one of them running, in a store that is open as in a running station."""
    store = remember(
        tmp_path,
        charge(0),
        charge(1, id_tag="Müller", parent="FAMILY", connector=2, delivered_at=None, reason="EVDisconnected"),
        charge(2, **RUNNING),
    )
    yield tmp_path
    store.close()


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_pipe_gets_aligned_text_with_totals_per_tag(run: Run, storage: Path) -> None:
    code, text, _ = run("--storage", storage)
    assert code == 0
    assert text == (
        "Start             End               Duration  Conn  Tag         kWh  Start Wh  Stop Wh  Reason"
        "          Transaction  Delivered\n"
        "2026-05-01 12:00  2026-05-01 13:00      1:00     1  04E12345  7.400      1000     8400  Local"
        "           40           yes\n"
        "2026-05-02 12:00  2026-05-02 13:00      1:00     2  Müller    7.400      1000     8400"
        "  EVDisconnected  41           no\n"
        "2026-05-03 12:00  running               0:59     1  04E12345  7.390      1000    8390+"
        "                               no\n"
        "\n"
        "Tag       Charges  Duration     kWh  Running\n"
        "04E12345        1      1:00   7.400        1\n"
        "Müller          1      1:00   7.400        0\n"
        "Total           2      2:00  14.800        1\n"
    )


def test_csv_names_its_units_and_uses_utc_and_a_dot(run: Run, storage: Path) -> None:
    code, text, _ = run("--storage", storage, "--csv")
    assert code == 0
    lines = text.split("\r\n")
    assert lines[0] == (
        "station,key,transaction_id,connector,id_tag,parent_id_tag,state,start_utc,end_utc,"
        "duration_s,energy_kwh,meter_start_wh,meter_stop_wh,reason,delivered"
    )
    assert lines[1] == (
        "CP001,000000000000,40,1,04E12345,,finished,2026-05-01T10:00:00Z,2026-05-01T11:00:00Z,"
        "3600,7.400,1000,8400,Local,yes"
    )
    assert lines[3].startswith(
        "CP001,000000000002,,1,04E12345,,running,2026-05-03T10:00:00Z,2026-05-03T10:59:50Z,"
    )
    assert lines[4:] == [""]


def test_csv_quotes_what_a_card_may_contain(run: Run, tmp_path: Path) -> None:
    tag = 'a,"b"\nc'
    remember(tmp_path, charge(0, id_tag=tag)).close()
    assert records(run("--storage", tmp_path, "--csv")[1])[0]["id_tag"] == tag


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["40", "41", ""]),
        (["--open"], [""]),
        (["--tag", "04e12345"], ["40", ""]),
        (["--tag", "family"], ["41"]),
        (["--since", "2026-05-02"], ["41", ""]),
        (["--until", "2026-05-02"], ["40", "41"]),
        (["--since", "2026-05-02", "--until", "2026-05-02"], ["41"]),
        (["--since", "2026-05-02T12:00"], ["41", ""]),
        (["--since", "2026-05-02T10:00:01+00:00"], [""]),
        (["--until", "2026-05-02T12:00"], ["40"]),
        (["--tag", "nobody"], []),
    ],
    ids=" ".join,
)
def test_filters(run: Run, storage: Path, options: list[str], expected: list[str]) -> None:
    code, text, _ = run("--storage", storage, "--csv", *options)
    assert code == 0
    assert [record["transaction_id"] for record in records(text)] == expected


def test_nothing_found_is_said_and_is_no_failure(run: Run, storage: Path) -> None:
    assert run("--storage", storage, "--tag", "nobody") == (0, "", "No charges.\n")


def test_a_date_that_is_none_is_refused(run: Run, storage: Path) -> None:
    code, _, complaint = run("--storage", storage, "--since", "May")
    assert code == 2
    assert "'May' is not a date such as 2026-05-31" in complaint


def test_several_stations_are_told_apart(run: Run, tmp_path: Path) -> None:
    remember(tmp_path, charge(1), identity="CP/2").close()
    remember(tmp_path, charge(0), charge(2), identity="CP/1").close()
    text = run("--storage", tmp_path)[1]
    assert [line.split()[0] for line in text.splitlines()[:4]] == ["Station", "CP/1", "CP/2", "CP/1"]
    assert [r["station"] for r in records(run("--storage", tmp_path, "--csv", "--id", "CP/2")[1])] == ["CP/2"]


def test_the_configuration_names_store_and_identity(run: Run, tmp_path: Path) -> None:
    (tmp_path / "station.yaml").write_text("identity: CP001\nstorage: ./data\n")
    remember(tmp_path / "data", charge(0)).close()
    remember(tmp_path / "data", charge(1), identity="CP002").close()
    config = ["--config", str(tmp_path / "station.yaml"), "--csv"]
    assert [r["transaction_id"] for r in records(run(*config)[1])] == ["40"]
    assert [r["transaction_id"] for r in records(run(*config, "--id", "CP002")[1])] == ["41"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--storage", "{0}/none"], "no store in {0}/none; name its folder with --storage or --config\n"),
        (["--storage", "{0}", "--id", "CP9"], "no store of CP9 in {0}; name its folder with"),
        (
            ["--config", "{0}/null.yaml"],
            "{0}/null.yaml says storage: null, so that station remembers nothing\n",
        ),
        (["--storage", "{0}/broken"], "broken/CP001.sqlite3: cannot be read (file is not a database);"),
    ],
    ids=["no-folder", "no-such-station", "no-storage", "not-a-store"],
)
def test_no_store_is_one_clear_line_and_exit_code_2(
    run: Run, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "null.yaml").write_text("identity: CP001\nstorage: null\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "CP001.sqlite3").write_text("no database " * 1000)
    code, text, complained = run(*(argument.format(tmp_path) for argument in arguments))
    assert (code, text) == (2, "")
    assert complaint.format(tmp_path) in complained
    assert complained.count("\n") == 1


def test_a_document_that_is_no_charge_hides_no_other(run: Run, tmp_path: Path) -> None:
    store = remember(tmp_path, charge(0))
    store.put("transaction", "odd", {"connector": 1})
    store.commit()
    store.close()
    code, text, complaint = run("--storage", tmp_path, "--csv")
    assert (code, len(records(text))) == (0, 1)
    assert complaint.endswith("transaction odd cannot be read\n")


@pytest.mark.parametrize(
    ("changes", "energy_kwh", "duration_s"),
    [
        ({}, "7.400", "3600"),
        ({"meter_stop_wh": 1000}, "0.000", "3600"),
        ({"meter_stop_wh": 12_345_678}, "12344.678", "3600"),
        ({"meter_stop_wh": 995}, "-0.005", "3600"),
        ({"meter_stop_wh": None}, "", "3600"),
        ({"stopped_at": START - 5}, "7.400", "0"),
        (RUNNING | {"last_at": None, "last_wh": None}, "", ""),
    ],
    ids=[
        "usual",
        "nothing-drawn",
        "a-lot",
        "meter-went-back",
        "no-register",
        "clock-went-back",
        "just-begun",
    ],
)
def test_energy_and_duration(
    run: Run, tmp_path: Path, changes: dict[str, Any], energy_kwh: str, duration_s: str
) -> None:
    remember(tmp_path, charge(0, **changes)).close()
    [record] = records(run("--storage", tmp_path, "--csv")[1])
    assert (record["energy_kwh"], record["duration_s"]) == (energy_kwh, duration_s)
    assert run("--storage", tmp_path)[0] == 0


def test_control_sequences_in_a_tag_do_not_reach_the_screen(run: Run, tmp_path: Path) -> None:
    remember(tmp_path, charge(0, id_tag="\x1b[2J\n[bold]x")).close()
    text = run("--storage", tmp_path)[1]
    assert "\x1b" not in text
    assert "?[2J?[bold]x" in text


def test_a_terminal_gets_a_table(storage: Path) -> None:
    far, near = os.openpty()
    environment = os.environ | {"COLUMNS": "160", "TERM": "xterm"}
    command = [sys.executable, "-m", "chargepoint", "sessions", "--storage", str(storage)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=near)
    os.close(near)
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal whose other end is closed ends
        while part := os.read(far, 65536):
            seen += part
    os.close(far)
    assert process.wait() == 0
    text = seen.decode()
    assert "┃" in text
    assert "│ 2026-05-03 12:00 │ running          │     0:59 │    1 │ 04E12345 │ 7.390 │" in text


def test_help_shows_examples(run: Run) -> None:
    code, text, _ = run("--help")
    assert code == 0
    assert "chargepoint sessions --tag 04E12345 --csv > may.csv" in text
