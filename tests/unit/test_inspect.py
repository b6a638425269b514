"""`chargepoint inspect`: what a store remembers, and the limits its profiles give (OCPP 1.6 §3.13, §5.7)."""

from __future__ import annotations

import json
import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from chargepoint.certificates import KEY_STORE
from chargepoint.cli.main import main
from chargepoint.cli.stairs import Stairs, drawn
from chargepoint.domain.limits import Hardware, Period, Profile, Schedule, composite
from chargepoint.domain.profiles import to_document
from chargepoint.domain.reservations import Reservation
from chargepoint.store import SqliteStore

ROOT = Path(__file__).parents[2]
START = 1777629600.0  # 2026-05-01 10:00:00 UTC
AT = "--at=2026-05-01T10:00:00+00:00"
SVG = "{http://www.w3.org/2000/svg}"


def root_certificate(name: str) -> str:
    """A self-signed certificate as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.fromtimestamp(START, UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), 4095, begin, begin + timedelta(days=9)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


Run = Callable[..., tuple[int, str, str]]

NIGHT = Profile(
    1, 0, 0, "TxDefaultProfile", "Recurring",
    Schedule("A", (Period(0, 16.0), Period(7 * 3600, 8.0)), 86_400, START - 36_000),
    START, "Daily",
)  # fmt: skip
CAP = Profile(
    2, 0, 0, "ChargePointMaxProfile", "Absolute",
    Schedule("A", (Period(0, 12.0), Period(7200, 40.0)), None, START + 3600),
    START, valid_to_at=START + 86_400,
)  # fmt: skip
SLOW_START = Profile(
    3, 1, 5, "TxDefaultProfile", "Relative",
    Schedule("A", (Period(0, 6.0), Period(7200, 10.0)), 10_800), START,
)  # fmt: skip


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
        code = main(["inspect", AT, *map(str, arguments)])
        return code, *capsys.readouterr()

    return command


def charge(number: int, ended: bool = True, delivered: bool = True) -> dict[str, Any]:
    started_at = START - number * 7200
    return {
        "key": f"{number:012}",
        "connector": 1,
        "id_tag": f"TAG{number}",
        "started_at": started_at,
        "meter_start_wh": 1000,
        "csms_id": 40 + number,
        "parent": None,
        "stopped_at": started_at + 3600 if ended else None,
        "meter_stop_wh": 8400 if ended else None,
        "reason": "Local" if ended else None,
        "delivered_at": started_at + 3601 if ended and delivered else None,
        "last_at": started_at + 60,
        "last_wh": 1200.0,
    }


def record(kind: str, attempts: int, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "transaction": None, "attempts": attempts, "facts": facts}


def remember(directory: Path, *profiles: Profile, identity: str = "CP001") -> SqliteStore:
    store = SqliteStore.open(directory, identity)
    store.put("registration", "boot", {"n": 3})
    for profile in profiles:
        store.put("profile", str(profile.id), to_document(profile))
    store.commit()
    return store


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A store with a document of every kind, open as in a running station."""
    store = remember(tmp_path, NIGHT, CAP)
    store.put("registration", "accepted", {})
    store.put("connector", "0", {"operative": True})
    store.put("connector", "1", {"operative": True, "scheduled": False, "finishing": "transaction",
                                 "held_by": ["TAG1", None]})  # fmt: skip
    store.put("connector", "2", {"operative": False, "scheduled": True, "finishing": None, "held_by": None})
    store.put("configuration", "MeterValueSampleInterval", {"value": "15"})
    store.put("configuration", "ConnectionTimeOut", {"value": "120"})
    store.put("configuration", "AuthorizationKey", {"value": "top-secret-1"})
    store.put("configuration", "SomeVendorPassword", {"value": "top-secret-2"})
    for number in range(12):
        document = charge(number, ended=number > 0, delivered=number > 2)
        store.put("transaction", document["key"], document)
    store.put("sample:000000000000", "000001", {"timestamp": "2026-05-01T10:00:00Z"})
    store.put("record", "000000000001", record("meter", 0, values=[{"timestamp": "2026-05-01T09:58:00Z"}]))
    store.put("record", "000000000002", record("stop", 2, at=START - 60.0))
    store.put("record", "000000000003", record("stop", 1, at=START - 90.0))
    store.put("cache", "tag1", {"id_tag": "TAG1", "status": "Accepted", "learnt_at": START - 60})
    store.put("cache", "tag2", {"id_tag": "TAG2", "status": "Blocked", "learnt_at": START - 30})
    store.put("moonbeam", "1", {"password": "top-secret-3"})
    store.commit()
    yield tmp_path
    store.close()


def seen(run: Run, *arguments: str | Path) -> Any:
    code, text, _ = run("--json", *arguments)
    assert code == 0
    return json.loads(text)


def words(line: str) -> str:
    return " ".join(line.split())


def test_a_pipe_gets_one_section_after_the_other(run: Run, full: Path) -> None:
    code, text, complaint = run(full)
    assert (code, complaint) == (0, "")
    assert text.isascii()
    sections = text.split("\n\n")
    assert sections[0] == f"CP001: accepted by a central system, 3 starts ({full}/CP001.sqlite3)"
    assert sections[1] == (
        "Availability\n"
        "Connector    Availability                   Finishing    Plug held for\n"
        "station (0)  operative\n"
        "1            operative                      transaction  TAG1\n"
        "2            inoperative, change scheduled"
    )
    assert sections[2] == (
        "Changed configuration keys\n"
        "Key                       Value  Factory\n"
        "AuthorizationKey          ***\n"
        "MeterValueSampleInterval  15     60\n"
        "SomeVendorPassword        ***"
    )
    charges = sections[3].splitlines()
    assert charges[0] == (
        "Transactions: 1 running, 11 ended, 2 undelivered, 1 meter values kept for their ends"
    )
    assert words(charges[2]) == "2026-05-01 12:00 running 0:01 1 TAG0 0.200 40 no"
    assert words(charges[3]).startswith("2026-05-01 10:00 2026-05-01 11:00 1:00")
    assert len(charges) == 2 + 10
    assert sections[4] == (
        "Waiting for the central system\n"
        "Record  Count  Attempts  Oldest\n"
        "meter       1         0  2026-05-01 11:58\n"
        "stop        2         2  2026-05-01 11:58"
    )
    assert [words(line) for line in sections[5].splitlines()[2:]] == [
        "1 TxDefault Daily 0 0 always 2026-05-01 02:00 24:00 A 0:00 16, 7:00 8",
        "2 ChargePointMax Absolute 0 0 to 2026-05-02 12:00 2026-05-01 13:00 A 0:00 12, 2:00 40",
    ]
    assert "Authorization cache: 2, newest TAG2 Blocked 2026-05-01 11:59" in sections
    assert sections[-1] == "Other documents\nKind      Count\nmoonbeam      1\n"


def test_what_it_holds_besides_charging(run: Run, tmp_path: Path) -> None:
    key_pem, _ = KEY_STORE.new_key("CP001", "Example")
    chain = root_certificate("Root of all")
    with closing(remember(tmp_path)) as store:
        store.put("reservation", "7", Reservation(7, 0, "ANN", START + 3600, "FAMILY").document())
        for n in range(25):
            store.put("local_list", f"card{n:02d}", {"status": "Blocked", "expiry_at": START})
        store.put("local_list_version", "", {"version": 12})
        use = "CentralSystemRootCertificate"
        store.put("root_certificate", f"{use} x", {"use": use, "pem": chain, "file": True})
        store.put("pending_key", "", {"key": key_pem, "promised": True})
        store.put("security_log", "00000001", {"start": 1, "entries": [[START, "StartupOfTheDevice", ""]]})
        store.put("security_event", "00000001", {"type": "FirmwareUpdated", "at": START, "tech_info": ""})
        store.put("connection_security", "proven", {"key": "top-secret-4"})
        store.put("connection_security", "candidate", {"profile": 2, "key": "top-secret-5"})
        store.commit()
    text = run(tmp_path)[1]
    lines = [words(line) for line in text.splitlines()]
    assert "7 0 ANN FAMILY 2026-05-01 13:00" in lines
    assert "Local authorization list, version 12: 25 identifiers" in lines
    assert "card00 Blocked 2026-05-01 12:00" in lines
    assert "and 5 more; --json has them all" in lines
    assert any(line.startswith("central system CN=Root of all CN=Root of all") for line in lines)
    assert (
        "Security events: 1 waiting for the central system, 1 in the security log,"
        " newest StartupOfTheDevice 2026-05-01 12:00"
    ) in lines
    assert "on trial 2 ***" in lines
    assert "proven as configured ***" in lines
    for secret in ("PRIVATE", "top-secret"):
        assert secret not in text + run(tmp_path, "--json")[1]
    found = seen(run, tmp_path)
    assert len(found["local_list"]["entries"]) == 25
    assert found["certificates"]["requested"] is True
    assert {"on_trial": True, "profile": 2, "key_changed": True} in found["connection"]
    assert found["other"] == {}


def test_no_secret_is_shown_in_any_form(run: Run, full: Path) -> None:
    for arguments in ([full], [full, "--json"], [full, "--svg", full / "x.svg"]):
        assert "top-secret" not in "".join(map(str, run(*arguments)))
    assert "top-secret" not in (full / "x.svg").read_text()


def test_an_empty_store_says_what_is_not_there(run: Run, tmp_path: Path) -> None:
    remember(tmp_path).close()
    text = run(tmp_path)[1]
    assert "CP001: never accepted by a central system, 3 starts" in text
    for line in (
        "Availability: every connector is operative, as from the factory",
        "Changed configuration keys: none, all as from the factory",
        "Transactions: 0 running, 0 ended, 0 undelivered",
        "Waiting for the central system: nothing",
        "Charging profiles: none",
        "Authorization cache: empty",
    ):
        assert line in text.splitlines()


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_nothing_in_the_folder_changes(run: Run, tmp_path: Path, running: bool) -> None:
    store = remember(tmp_path, NIGHT)
    if not running:
        store.close()
    before, names = files(tmp_path), sorted(os.listdir(tmp_path))
    assert run(tmp_path)[0] == 0
    assert (files(tmp_path), sorted(os.listdir(tmp_path))) == (before, names)
    store.put("registration", "boot", {"n": 4})
    if running:
        store.commit()
        assert seen(run, tmp_path)["starts"] == 4
        store.close()


def test_json_holds_what_the_documentation_says(run: Run, full: Path) -> None:
    found = seen(run, full)
    page = (ROOT / "docs" / "inspect.md").read_text()

    def names(value: Any) -> Iterator[str]:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                for key, inner in item.items():
                    yield key
                    yield from names(inner)

    others = {"moonbeam"}
    assert [name for name in names(found) if f"`{name}`" not in page and name not in others] == []
    assert found["schema"] == "1.0"
    assert (found["at"], found["until"]) == ("2026-05-01T10:00:00Z", "2026-05-02T10:00:00Z")
    assert (found["accepted"], found["starts"]) == (True, 3)
    assert found["settings"][0] == {
        "key": "AuthorizationKey", "value": None, "factory": None, "secret": True
    }  # fmt: skip
    assert found["charges"]["undelivered"] == 2
    assert found["charges"]["newest"][1]["ended_at"] == "2026-05-01T09:00:00Z"
    assert found["queue"][1] == {
        "kind": "stop", "count": 2, "attempts": 2, "oldest_at": "2026-05-01T09:58:30Z"
    }  # fmt: skip
    assert found["profiles"][1]["valid_to_at"] == "2026-05-02T10:00:00Z"
    assert found["cache"]["newest_tag"] == "TAG2"
    assert found["other"] == {"moonbeam": 1}


def test_the_schedules_are_those_of_get_composite_schedule(run: Run, tmp_path: Path) -> None:
    remember(tmp_path, NIGHT, CAP, SLOW_START).close()
    (tmp_path / "two.yaml").write_text("connectors: [{max_current_a: 20}, {max_current_a: 10, phases: 1}]\n")
    plans = seen(run, tmp_path, "--config", tmp_path / "two.yaml", "--id=CP001", "--hours=48")["plans"]
    assert [plan["connectors"] for plan in plans] == [[1], [2], [0]]
    hardwares = {1: Hardware(20), 2: Hardware(10, phases=1)}
    for plan in plans:
        (connector,) = plan["connectors"]
        expected = composite([NIGHT, CAP, SLOW_START], connector, {}, hardwares, "A", START, 48 * 3600)
        got = [(step["limit"], step["phases"]) for step in plan["steps"]]
        assert got == [(period.limit, period.phases) for period in expected]
    assert [(step["at"], step["limit"], step["because"]) for step in plans[0]["steps"]][:3] == [
        ("2026-05-01T10:00:00Z", 6.0, "TxDefaultProfile 3 (stack 5)"),
        ("2026-05-01T12:00:00Z", 10.0, "TxDefaultProfile 3 (stack 5)"),
        ("2026-05-01T13:00:00Z", 8.0, "TxDefaultProfile 1 (stack 0)"),
    ]
    reasons = {step["at"]: step["because"] for step in plans[2]["steps"]}
    assert reasons["2026-05-01T11:00:00Z"] == "ChargePointMaxProfile 2"
    assert reasons["2026-05-01T13:00:00Z"] == "the sum of the connectors"


def test_a_relative_schedule_counts_from_the_start_of_the_running_transaction(
    run: Run, tmp_path: Path
) -> None:
    store = remember(tmp_path, SLOW_START)
    document = charge(0, ended=False) | {"started_at": START - 3600}
    store.put("transaction", document["key"], document)
    store.commit()
    store.close()
    (plan,) = seen(run, tmp_path)["plans"]
    assert plan["connectors"] == [0, 1]
    assert [(step["at"], step["limit"]) for step in plan["steps"]] == [
        ("2026-05-01T10:00:00Z", 6.0),
        ("2026-05-01T11:00:00Z", 10.0),
        ("2026-05-01T12:00:00Z", 32.0),
    ]


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.49, 0.5, 0.7, 0.999])
def test_the_reason_belongs_to_the_step_although_boundaries_are_no_full_seconds(
    run: Run, tmp_path: Path, fraction: float
) -> None:
    store = remember(tmp_path, NIGHT, SLOW_START)
    document = charge(0, ended=False) | {"started_at": START + fraction}
    store.put("transaction", document["key"], document)
    store.commit()
    store.close()
    at = f"--at=2026-05-01T10:00:00.{round(fraction * 1000):03}+00:00"
    (plan,) = seen(run, tmp_path, at)["plans"]
    assert [(step["limit"], step["because"]) for step in plan["steps"]][:3] == [
        (6.0, "TxDefaultProfile 3 (stack 5)"),
        (10.0, "TxDefaultProfile 3 (stack 5)"),
        (8.0, "TxDefaultProfile 1 (stack 0)"),
    ]


def test_without_a_configuration_the_hardware_is_assumed_and_that_is_said(run: Run, full: Path) -> None:
    text = run(full)[1]
    assert "installed maximum assumed to be 32 A on three phases (no --config)" in text
    assert "Limit of connectors 1, 2 in A, 2026-05-01 12:00 to 2026-05-02 12:00" in text
    assert "Limit of the station (connector 0) in A" in text


def test_limits_in_watts_are_drawn_in_watts(run: Run, tmp_path: Path) -> None:
    profile = Profile(1, 1, 0, "TxDefaultProfile", "Relative", Schedule("W", (Period(0, 7400.0),)), START)
    remember(tmp_path, profile).close()
    (plan,) = seen(run, tmp_path)["plans"]
    assert (plan["unit"], plan["steps"][0]["limit"]) == ("W", 7400.0)


def test_a_document_that_cannot_be_read_is_named_and_hides_no_other(run: Run, full: Path) -> None:
    store = remember(full, NIGHT, identity="CP9")
    store.put("profile", "7", {"id": 7})
    store.put("connector", "\x1b[2J", {})
    store.commit()
    store.close()
    code, text, complaint = run(full, "--id=CP9")
    assert code == 0
    assert "TxDefault" in text
    assert complaint.splitlines() == [
        f"{full}/CP9.sqlite3: profile 7 cannot be read",
        f"{full}/CP9.sqlite3: connector ?[2J cannot be read",
    ]


def test_several_stations_follow_each_other(run: Run, full: Path) -> None:
    remember(full, identity="CP/2").close()
    lines = run(full, "--json")[1].splitlines()
    assert [json.loads(line)["station"] for line in lines] == ["CP/2", "CP001"]
    code, _, complaint = run(full, "--svg", full / "x.svg")
    assert code == 2
    assert "--svg draws one station, here are 2; choose one with --id" in complaint
    assert not (full / "x.svg").exists()


def test_the_configuration_names_store_and_identity(run: Run, tmp_path: Path) -> None:
    (tmp_path / "station.yaml").write_text("identity: CP001\nstorage: ./data\nocpp: {ResetRetries: 4}\n")
    store = remember(tmp_path / "data")
    store.put("configuration", "ResetRetries", {"value": "1"})
    store.commit()
    store.close()
    remember(tmp_path / "data", identity="CP002").close()
    found = seen(run, "--config", tmp_path / "station.yaml")
    assert found["station"] == "CP001"
    assert found["settings"] == [{"key": "ResetRetries", "value": "1", "factory": "4", "secret": False}]
    assert seen(run, tmp_path / "data" / "CP002.sqlite3")["station"] == "CP002"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{0}/none"], "no store in {0}/none; name its folder or its --config\n"),
        (["{0}", "--id", "CP9"], "no store of CP9 in {0}; name its folder or its --config\n"),
        (["--config", "{0}/null.yaml"], "says storage: null, so that station remembers nothing\n"),
        (["{0}/null.yaml"], "null.yaml: cannot be read (file is not a database);"),
    ],
    ids=["no-folder", "no-such-station", "no-storage", "not-a-store"],
)
def test_no_store_is_one_clear_line_and_exit_code_2(
    run: Run, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "null.yaml").write_text("identity: CP001\nstorage: null\n" + "#\n" * 500)
    code, text, complained = run(*(argument.format(tmp_path) for argument in arguments))
    assert (code, text) == (2, "")
    assert complaint.format(tmp_path) in complained
    assert complained.count("\n") == 1


def test_a_picture_that_cannot_be_written_is_said(run: Run, full: Path) -> None:
    code, _, complaint = run(full, "--svg", full / "none" / "x.svg")
    assert code == 2
    assert "none/x.svg: No such file or directory" in complaint


def test_many_steps_are_cut_short_in_the_table_only(run: Run, full: Path) -> None:
    text = run(full, "--hours=720")[1]
    assert text.count("TxDefaultProfile 1 (stack 0)\n") == 40
    assert "and 21 more; --json has them all" in text
    assert len(seen(run, full, "--hours=720")["plans"][0]["steps"]) == 61


# --- pictures ---------------------------------------------------------------------------------------

DIP = Stairs("Dip", "A", ((START, 32.0), (START + 7200, 0.0), (START + 7500, 16.0)), START, START + 14_400)


def test_stairs_in_ascii() -> None:
    assert drawn(DIP, columns=28, blocks=False) == (
        "32 |############\n"
        "   |############\n"
        "   |############\n"
        "16 |############ ###########\n"
        "   |############ ###########\n"
        "   |############ ###########\n"
        " 0 ++-----------+-----------\n"
        "    12:00       14:00"
    )


def test_stairs_in_blocks_have_eighths_and_next_to_nothing_is_seen() -> None:
    low = Stairs("", "A", ((START, 32.0), (START + 1800, 9.0), (START + 2700, 0.1)), START, START + 3600)
    lines = drawn(low, columns=16, blocks=True).splitlines()
    assert lines[4] == "   │██████▆▆▆"
    assert lines[5] == "   │█████████▁▁▁"


def test_stairs_of_nothing_can_be_drawn() -> None:
    nothing = Stairs("", "A", ((START, 0.0),), START, START + 3600)
    assert "#" not in drawn(nothing, columns=40, blocks=False)


@pytest.mark.parametrize("hours", [0.3, 1, 24, 36, 24 * 9, 24 * 365])
def test_labels_do_not_run_into_each_other(hours: float) -> None:
    stairs = Stairs("", "A", ((START, 1.0),), START, START + hours * 3600)
    labels = drawn(stairs, columns=80, blocks=False).splitlines()[-1].split()
    assert 1 <= len(labels) <= 9
    assert {len(label) for label in labels} == {5}


def test_the_svg_is_one_self_contained_picture_of_every_plan(run: Run, full: Path) -> None:
    assert run(full, "--svg", full / "limits.svg")[0] == 0
    root = ET.parse(full / "limits.svg").getroot()
    assert root.tag == f"{SVG}svg"
    titles = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "title"]
    assert titles == [
        "Limit of connectors 1, 2 in A, 2026-05-01 12:00 to 2026-05-02 12:00",
        "Limit of the station (connector 0) in A, 2026-05-01 12:00 to 2026-05-02 12:00",
    ]
    lines = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    # 8 A until 02:00, 16 A until 09:00, 8 A to the end: of 16 A, over 816 pixels for 24 hours.
    assert lines[0] == "M64.0 110.0V110.0H540.0V34.0H778.0V110.0H880.0"
    assert not any(
        name.endswith("href") or name == "src" for element in root.iter() for name in element.attrib
    )


def test_the_site_of_the_configuration_counts_as_a_maximum(run: Run, full: Path, tmp_path: Path) -> None:
    file = tmp_path / "house.yaml"
    file.write_text("connectors: [{}]\nsite: {limit_a: 9, reserve_a: 2}\n")
    plan = seen(run, full, "--config", file, "--at", "2031-01-01T00:00:00Z")["plans"][0]
    assert [(step["limit"], step["because"]) for step in plan["steps"]] == [(7, "site limit")]
