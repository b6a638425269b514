"""`chargepoint hardware` and `chargepoint emulate`, as somebody types them: one emulates, the other looks."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hal.modbus.register_map import map_names
from tests.e2e.shell import PATIENCE_S, Program, forked, having, refusing_port
from tests.standstills import again_after_a_standstill


@contextmanager
def emulated(folder: Path, *arguments: str) -> Iterator[Program]:
    """Emulated devices, and their configuration in station.yaml."""
    with Program("emulate", *arguments, cwd=folder, fresh=False) as devices:
        devices.until("Commands:")
        text = "\n".join(line for line in devices.lines if not line.lstrip().startswith("#"))
        (folder / "station.yaml").write_text(f"csms: {{url: 'ws://127.0.0.1:9'}}\nstorage: null\n{text}\n")
        yield devices


def ports(folder: Path) -> list[Path]:
    """The links to the terminals of `emulated` devices."""
    text = (folder / "station.yaml").read_text()
    return sorted({Path(found) for found in re.findall(r"/\S*modbus-line-[^/\s]*/\w+", text)})


def told(devices: Program, command: str) -> str:
    """What it answers to a command."""
    devices.say(command)
    assert devices.process.stdout is not None
    return devices.process.stdout.readline().rstrip("\n")


def status(devices: Program) -> dict[str, object]:
    reply: dict[str, object] = json.loads(told(devices, '{"cmd": "status"}'))
    assert reply.pop("ok") is True
    return reply


def charge(devices: Program, vehicle: str = "compact") -> None:
    """A vehicle comes and, some seconds later, asks for energy."""
    assert told(devices, f"plug_in {vehicle} 20") == "done"
    until = time.monotonic() + PATIENCE_S
    while not status(devices)["closed"]:
        assert time.monotonic() < until
        time.sleep(0.05)


@again_after_a_standstill
def test_probe_read_watch_and_safe_off_at_a_controller_and_its_meter(tmp_path: Path) -> None:
    with emulated(tmp_path, "evse-wb:1", "sdm630:2", "rdm6300", "--energy", "5000") as devices:
        charge(devices)
        found = forked("hardware", "probe", cwd=tmp_path)
        assert found.returncode == 0, found.stderr
        assert re.search(
            r"connector 1 +evse +evse-wb .*port0, 9600 baud, 8N1, unit 1 .*firmware 18", found.stdout
        )
        assert "Eastron SDM630" in found.stdout
        assert "listening for cards" in found.stdout

        # What it came up with is still there: nobody wrote anything.
        assert status(devices)["offered_a"] == 16
        read = json.loads(forked("hardware", "read", "--json", cwd=tmp_path).stdout)
        evse, meter, reader = read["devices"]
        assert (evse["pilot"], evse["offered_a"], evse["closed"]) == ("C", 16, True)
        assert meter["energy_wh"] >= 5000
        assert 10_000 < meter["power_w"] < 12_000
        assert reader["problem"] is None
        assert status(devices)["offered_a"] == 16

        watched = forked("hardware", "watch", "--every=0.1", "--count=3", cwd=tmp_path)
        assert len(having(watched.stdout.splitlines(), "contactor closed")) == 3

        off = forked("hardware", "safe-off", cwd=tmp_path)
        assert (off.returncode, off.stdout.endswith("safe\n")) == (0, True)
        assert (status(devices)["offered_a"], status(devices)["closed"]) == (0, False)

        devices.signal(signal.SIGINT)
        assert devices.end() == 0


def test_watch_shows_cards_as_they_come_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    with (
        emulated(tmp_path, "rdm6300", "pn532") as devices,
        Program("hardware", "watch", "--every=0.1", cwd=tmp_path, fresh=False) as watch,
    ):
        watch.until("station")
        assert told(devices, "card 0F00A1B2C3").startswith("no: card 0F00A1B2C3: 8 or 14 or 20")
        assert watch.until("card").endswith("card 0F00A1B2C3")
        watch.signal(signal.SIGINT)
        assert watch.end() == 0


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("phoenix:7 em340:8", marks=pytest.mark.campaign),
        "openevse",
        "evse-wb:3 sdm72d-m:4 sdm120:5",
    ],
)
@again_after_a_standstill
def test_every_controller_is_found_and_left_as_it_is(device: str, tmp_path: Path) -> None:
    with emulated(tmp_path, *device.split()) as devices:
        told(devices, "plug_in compact 20")
        before = status(devices)
        found = forked("hardware", "probe", "--json", cwd=tmp_path)
        assert found.returncode == 0, found.stdout
        assert [one["problem"] for one in json.loads(found.stdout)["devices"]] == [None, None]
        read = forked("hardware", "read", "--json", cwd=tmp_path)
        assert read.returncode == 0, read.stdout
        assert json.loads(read.stdout)["devices"][0]["pilot"] in ("B", "C")
        assert status(devices)["offered_a"] == before["offered_a"]
        off = forked("hardware", "safe-off", cwd=tmp_path)
        assert off.returncode == 0, off.stdout
        assert (status(devices)["closed"], status(devices)["offered_a"]) == (False, 0)


@pytest.mark.campaign
def test_a_device_that_is_missing_is_explained_and_found_by_a_scan(tmp_path: Path) -> None:
    with emulated(tmp_path, "sdm630:7") as devices:
        port = re.search(r"port: ([^,]+),", "\n".join(devices.lines))
        assert port is not None
        arguments = ("hardware", "probe", "--driver=sdm630", f"--port={port[1]}", "--unit=2")
        missing = forked(*arguments, cwd=tmp_path)
        assert missing.returncode == 1
        assert "no answer; is it on?" in missing.stdout
        assert "--scan tries other" in missing.stdout
        scanned = forked(*arguments, "--scan", cwd=tmp_path)
        assert scanned.returncode == 1
        assert "9600 baud, 8N1, unit 7 answers" in scanned.stdout


def test_a_port_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    done = forked("hardware", "read", "--driver=evse-wb", "--port=/dev/serial/by-id/gone", cwd=tmp_path)
    assert done.returncode == 1
    assert "ls /dev/serial/by-id lists them" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hardware", "probe"), "say which devices"),
        (("hardware", "probe", "--port=/dev/ttyUSB0"), "say both --driver NAME and --port PORT"),
        (("hardware", "read", "--driver=sdm603", "--port=x"), "no device behind a driver 'sdm603'"),
        (("hardware", "read", "--driver=sdm630", "--port=x", "--unit=0"), "meter: unit: 0"),
        (("hardware", "safe-off"), "say which devices"),
        (("emulate", "sdm603"), "no device 'sdm603' to emulate"),
        (("emulate", "sdm630:0"), "a unit from 1 to 247"),
        (("emulate", "sdm630", "sdm120"), "units of their own"),
        (("emulate", "evse-wb:1", "phoenix:2"), "one controller at most"),
        (("emulate", "openevse:3"), "only Modbus devices have units"),
        (("emulate", "rdm6300", "--port=tcp"), "does not speak"),
        (("emulate", "sdm630", "--port=udp"), "write pty, tcp"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = forked(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


@again_after_a_standstill
def test_a_meter_on_tcp_counts_what_a_vehicle_draws(tmp_path: Path) -> None:
    with emulated(tmp_path, "sdm120", "--port=tcp") as devices:
        place = re.search(r"host: ([0-9.]+), tcp_port: (\d+), unit: 1", "\n".join(devices.lines))
        assert place is not None
        charge(devices, "city")
        arguments = ("hardware", "read", "--driver=sdm120", f"--port={place[1]}:{place[2]}", "--json")
        (meter,) = json.loads(forked(*arguments, cwd=tmp_path).stdout)["devices"]
        assert meter["power_w"] > 1000
        taken = forked("emulate", "sdm630", f"--port=tcp:{place[2]}", cwd=tmp_path)
        assert taken.returncode == 1
        assert "choose another --port" in taken.stderr
    nowhere = ("hardware", "read", "--driver=sdm120", f"--port=127.0.0.1:{refusing_port()}")
    assert "is the device on" in forked(*nowhere, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "devices",
    [["sdm630"], ["sdm120:2", "em340:3"], ["evse-wb:1", "sdm630:2", "pn532"], ["openevse"], ["rdm6300"]],
    ids=" ".join,
)
@again_after_a_standstill
def test_what_is_printed_is_a_configuration(devices: list[str], tmp_path: Path) -> None:
    with emulated(tmp_path, *devices):
        checked = forked("config", "check", "station.yaml", cwd=tmp_path)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        probed = json.loads(forked("hardware", "probe", "--json", cwd=tmp_path).stdout)
        assert [one["problem"] for one in probed["devices"] if one["problem"] is not None] == []
        assert devices[0].partition(":")[0] in [one["driver"] for one in probed["devices"]]


@pytest.mark.campaign
def test_emulated_faults_are_seen_and_mended(tmp_path: Path) -> None:
    with emulated(tmp_path, "evse-wb:1", "sdm630:2") as devices:
        assert told(devices, "fault kilowatts on") == "done"
        charge(devices)
        read = forked("hardware", "read", cwd=tmp_path)
        assert read.returncode == 1
        assert "kW for W" in read.stdout
        told(devices, "fault kilowatts off")
        assert forked("hardware", "read", cwd=tmp_path).returncode == 0
        told(devices, "fault vanish on")
        gone = forked("hardware", "safe-off", cwd=tmp_path)
        assert gone.returncode == 1
        assert "NOT SAFE" in gone.stdout
        told(devices, "fault vanish off")
        assert forked("hardware", "safe-off", cwd=tmp_path).returncode == 0


BAD_COMMANDS = [
    ("jump", "no: there is no command 'jump'"),
    ("plug_out", "no: no vehicle is plugged in"),
    ("plug_in bicycle", "no: "),
    ("plug_in compact full", "no: 'full' is no percentage"),
    ("plug_in a 1 2", "no: too many words"),
    ("fault", "no: name is missing"),
    ("fault explode on", "no: no fault 'explode' here"),
    ("fault flip maybe", "no: 'maybe': write on or off"),
    ("card 04E1", "no: no card reader is emulated"),
    ('{"cmd": "plug_in", "vehicle": 5, "id": 1}', '{"ok": false, "error": "bad_argument"'),
    ('{"cmd": "fly"}', '{"ok": false, "error": "bad_argument"'),
    ('{"cmd"', '{"ok": false, "error": "bad_json"'),
    ('{"cmd": "plug_in", "id": "a"}', '{"ok": true, "id": "a"}'),
]


def test_bad_commands_are_answered_and_change_nothing(tmp_path: Path) -> None:
    commands = "".join(f"{command}\n" for command, _ in BAD_COMMANDS)
    done = forked("emulate", "sdm630", cwd=tmp_path, stdin=commands)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()[-len(BAD_COMMANDS) :]
    for (command, said), answer in zip(BAD_COMMANDS, answers, strict=True):
        assert answer.startswith(said), command


@pytest.mark.campaign
def test_a_running_station_holds_the_port_and_is_named(tmp_path: Path) -> None:
    with emulated(tmp_path, "evse-wb:1", "sdm630:2"):
        arguments = ("--config=station.yaml", "--frames")
        with Program("run", *arguments, cwd=tmp_path) as station:
            station.until("connector 1  Available")
            off = forked("hardware", "safe-off", cwd=tmp_path)
            assert off.returncode == 1
            assert "a running chargepoint holds it" in off.stdout
            probed = forked("hardware", "probe", cwd=tmp_path)
            assert probed.returncode == 1
            assert "in use" in probed.stdout
            station.signal(signal.SIGINT)
            assert station.end() == 0
        assert forked("hardware", "safe-off", cwd=tmp_path).returncode == 0


@pytest.mark.campaign
def test_an_end_that_left_a_contactor_closed_says_so(tmp_path: Path) -> None:
    with emulated(tmp_path, "evse-wb:1", "sdm630:2", "rdm6300") as devices:
        file = tmp_path / "station.yaml"
        file.write_text(file.read_text().partition("\n")[2])  # without a URL: at the embedded central system
        with Program("run", "--config=station.yaml", cwd=tmp_path) as station:
            station.until("connector 1  Available")
            assert told(devices, "plug_in compact 20") == "done"
            station.until("connector 1  Preparing")
            assert told(devices, "card 100086F444") == "done"
            station.until("connector 1  Charging")
            assert told(devices, "fault vanish on") == "done"
            station.signal(signal.SIGINT)
            station.until("connector 1 MAY STILL GIVE CURRENT")
            assert "1 transaction still running" in station.lines[-1]
            assert station.end() == 3
        assert status(devices)["closed"]


def test_a_script_hears_of_a_contactor_left_closed_and_safe_off_opens_it(tmp_path: Path) -> None:
    """SIGTERM, as a service manager sends it; the wire is back when safe-off comes."""
    with emulated(tmp_path, "evse-wb:1", "sdm630:2", "rdm6300") as devices:
        file = tmp_path / "station.yaml"
        file.write_text(file.read_text().partition("\n")[2])  # without a URL: at the embedded central system
        with Program("run", "--config=station.yaml", "--control=stdio", cwd=tmp_path) as station:
            station.until('"status":"Available"')
            assert told(devices, "plug_in compact 20") == "done"
            station.until('"status":"Preparing"')
            assert told(devices, "card 100086F444") == "done"
            station.until('"status":"Charging"')
            assert told(devices, "fault vanish on") == "done"
            station.signal(signal.SIGTERM)
            error = json.loads(station.until("MAY STILL GIVE CURRENT"))
            assert "connector 1" in error["message"]
            assert station.end() == 3
        assert status(devices)["closed"]
        assert told(devices, "fault vanish off") == "done"
        assert forked("hardware", "safe-off", cwd=tmp_path).returncode == 0
        assert not status(devices)["closed"]


def test_the_drivers_are_listed_with_what_they_need(tmp_path: Path) -> None:
    listed = json.loads(forked("hardware", "drivers", "--json", cwd=tmp_path).stdout)
    meters = {note["name"] for note in listed if note["part"] == "meter"}
    assert meters > set(map_names())
    shown = forked("hardware", "drivers", cwd=tmp_path).stdout
    assert re.search(r"^relay .*GPIO .*python3-lgpio.*evse: \{driver: relay, pin: 17", shown, re.MULTILINE)


@again_after_a_standstill
def test_the_doctor_examines_this_computer(tmp_path: Path) -> None:
    with emulated(tmp_path, "evse-wb:1", "sdm630:2"):
        done = forked("hardware", "doctor", "--json", cwd=tmp_path)
        steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
        assert steps["configuration"]["result"] == "ok"
        assert steps["devices"] == {"name": "devices", "result": "ok", "message": "all of them answer"}
    for port in ports(tmp_path):
        port.unlink()  # it leads to a terminal that somebody else may have by now
    done = forked("hardware", "doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"^FAIL +ports ", done.stdout, re.MULTILINE)
