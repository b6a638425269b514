"""Recordings of others: every sample tells the same session, in another style."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from chargepoint.errors import ConfigError
from scenarios.importers import read
from scenarios.importers.words import outright, station, word
from scenarios.recorded import Frame, Recorded

SAMPLES = Path(__file__).parent / "samples"
BERLIN = ZoneInfo("Europe/Berlin")
IN_LOCAL_TIME = {"bare-time.log", "european.log", "parts.csv"}
BEGINS = 1776185882.117  # 2026-04-14T16:58:02.117Z
FORMATS = {".log": "log", ".csv": "csv", ".jsonl": "trace"}
UNKNOWN = {"bare-time.log": [1], "steve.log": [1, 4], "syslog.log": [1], "wrapped.log": [1]}
NAMES_NONE = {"bare-time.log", "container.log", "epoch-ms.log", "european.log", "pretty.log", "syslog.log"}
NAMES_NONE |= {"no-header.csv", "wrapped.log"}


def sample(name: str) -> Recorded:
    zone = BERLIN if name in IN_LOCAL_TIME else None
    return read(SAMPLES / name, zone=zone, station="NL-00417" if name == "two-stations.log" else None)


def told(frame: Frame) -> tuple[bool, str, str | None, str | None, object]:
    return frame.outgoing, frame.kind, frame.message_id, frame.action, frame.payload


EXPECTED = [told(frame) for frame in sample("open-trace.jsonl").frames]


def test_the_story_all_samples_tell() -> None:
    calls = [(out, action) for out, kind, _, action, _ in EXPECTED if kind == "CALL"]
    said = [action for out, action in calls if out]
    assert said == [
        "BootNotification",
        *["StatusNotification"] * 3,
        "Authorize",
        "StartTransaction",
        "StatusNotification",
        *["MeterValues"] * 5,
        "StopTransaction",
        *["StatusNotification"] * 2,
    ]
    assert [action for out, action in calls if not out] == ["GetConfiguration", "SetChargingProfile"]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_a_sample(name: str) -> None:
    recorded = sample(name)
    frames = list(recorded.frames)
    coarse = 1.0 if name == "syslog.log" else 0.002  # whole seconds
    assert recorded.format == FORMATS[Path(name).suffix]
    assert recorded.station == (None if name in NAMES_NONE else "NL-00417")
    assert [told(frame) for frame in frames] == EXPECTED
    assert frames[0].at == pytest.approx(BEGINS, abs=coarse)
    assert frames[-1].at - frames[0].at == pytest.approx(421.75, abs=coarse)
    assert recorded.unknown == UNKNOWN.get(name, [])


def test_connections_of_a_log() -> None:
    happenings = [(h.event, h.fields["online"]) for h in sample("steve.log").happenings()]
    assert happenings == [("connection", True), ("connection", False)]


def test_several_stations_are_to_be_chosen_from() -> None:
    with pytest.raises(ConfigError, match=r"2 stations .* --station: NL-00417 \(34 records\), NL-00418"):
        read(SAMPLES / "two-stations.log")
    with pytest.raises(ConfigError, match="there is no station X; there are NL-00417, NL-00418"):
        read(SAMPLES / "two-stations.log", station="X")


def written(tmp_path: Path, *lines: str, name: str = "x.log") -> Path:
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_secrets_are_masked(tmp_path: Path) -> None:
    secret = "00112233445566778899AABBCCDDEEFF"
    change = f'[2,"7","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{secret}"}}]'
    path = written(tmp_path, f"2026-04-14 10:00:00 RX {change}")
    recorded = read(path)
    [frame] = recorded.frames
    assert secret not in f"{recorded}"
    assert frame.payload == {"key": "AuthorizationKey", "value": "***"}
    assert "masked" in recorded.notes[0]


def test_a_frame_cut_short_is_counted_and_named(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '2026-04-14 10:00:00 TX [2,"1","Heartbeat",{}]',
        '2026-04-14 10:00:01 RX [3,"1",{"currentTime":"2026-',
        '2026-04-14 10:05:00 TX [2,"2","Heartbeat",{}]',
        "something else",
    )
    recorded = read(path)
    assert [frame.message_id for frame in recorded.frames] == ["1", "2"]
    assert recorded.unknown == [2, 4]
    assert recorded.notes == [f"{path}:2: the frame is cut short or not JSON"]


def test_an_answer_that_nothing_assigns_to_a_side_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, '10:00:00 [2,"1","Heartbeat",{}]', '10:00:01 [3,"9",{}]')
    recorded = read(path)
    assert [frame.message_id for frame in recorded.frames] == ["1"]
    assert recorded.unknown == [2]


def test_the_words_of_a_log_are_from_its_writer_s_view(tmp_path: Path) -> None:
    """DataTransfer may come from either side: only the word tells, and what it means the other CALLs tell."""
    lines = [
        '2026-04-14 10:00:00 {} [2,"1","Heartbeat",{{}}]',
        '2026-04-14 10:00:01 {} [2,"2","DataTransfer",{{"vendorId":"x"}}]',
    ]
    by_station = read(written(tmp_path, lines[0].format("Sent"), lines[1].format("Received")))
    by_csms = read(written(tmp_path, lines[0].format("Received"), lines[1].format("Sent")))
    for recorded in (by_station, by_csms):
        assert [frame.outgoing for frame in recorded.frames] == [True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INFO in rpc.py: Sending", True),
        ("[RX]", False),
        ("<--", False),
        ("---> ", True),
        ("ws <<", False),
        ("message received from server", False),
        ("sessionId=1 -", None),
        ("INFO main", None),
    ],
)
def test_words(text: str, expected: bool | None) -> None:
    assert word(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CP->CSMS", True),
        ("csms-to-cp", False),
        ("Charge Point to Central System", True),
        ("server -> charger", False),
        ("to the charger", None),
    ],
)
def test_outright_words(text: str, expected: bool | None) -> None:
    assert outright(text) is expected


def test_identities_in_a_line() -> None:
    assert station("[chargeBoxId=A-1, sessionId=2] Received: ") == "A-1"
    assert station("INFO:ocpp:A-1: receive message ") == "A-1"
    assert station("trace recv A-1: ") == "A-1"
    assert station("nothing here ") is None


def test_midnight_passes_and_a_clock_that_was_set_costs_no_decades(tmp_path: Path) -> None:
    path = written(tmp_path, '23:59:59 [2,"1","Heartbeat",{}]', '00:00:01 [2,"2","Heartbeat",{}]')
    first, second = read(path).frames
    assert second.at - first.at == 2
    path = written(
        tmp_path,
        '1970-01-01T00:00:20Z TX [2,"1","BootNotification",{}]',
        '2026-04-14T10:00:00Z TX [2,"2","Heartbeat",{}]',
        '2026-04-14T10:00:05Z TX [2,"3","Heartbeat",{}]',
    )
    recorded = read(path)
    assert [frame.at for frame in recorded.frames] == [20, 20, 25]
    assert recorded.notes == ["1 leaps of the clock were taken out"]


MISTAKES = {
    "no-frame": (["2026-04-14 hello", ""], "no OCPP frame in 2 lines (read as log); a frame is"),
    "soap": (["2026-04-14 10:00:00 <soap:Envelope><soap:Body/>"], "but SOAP envelopes: that is OCPP-S"),
    "printed": (["2026-04-14 10:00:00 TX [2, '1', 'Heartbeat', {}]"], "as Python or JavaScript prints them"),
    "array": (['[{"timestamp":"2026-04-14T10:00:00Z","event":"x"},', "", "{oops]"], ":3: begins a record"),
    "array-gap": (
        ['[{"timestamp":"2026-04-14T10:00:00Z","event":"x"}', '{"timestamp":"2026-04-14T10:00:00Z"}]'],
        ":2: neither a record nor the array's end",
    ),
    "two-arrays": (
        ['[{"timestamp":"2026-04-14T10:00:00Z","event":"x"}]', "", "[]"],
        ":3: something stands behind the array",
    ),
    "no-stamp": (['TX [2,"1","Heartbeat",{}]'], ":1: a frame without a time stamp"),
    "empty": ([], "no OCPP frame in 0 lines"),
    "not-json": (['{"timestamp":"2026-04-14T10:00:00Z","event":"x"}', "oops", "{}"], ":2: is not JSON"),
    "newer": (['{"schemaVersion":"2.0","timestamp":"x","event":"y"}'], ":1: has schemaVersion 2.0"),
    "bad-time": (['{"timestamp":"soon","event":"y"}'], ":1: timestamp: 'soon' is not a date"),
    "bad-direction": (
        ['{"timestamp":"2026-04-14T10:00:00Z","direction":"up","raw":"[]"}'],
        ":1: direction is 'up'; write cp-to-csms or csms-to-cp",
    ),
    "csv-without-time": (["when?,message", '?,"[2,""1"",""Heartbeat"",{}]"'], "time stamp"),
    "csv-bad-time": (
        ["timestamp,message", 'soon,"[2,""1"",""Heartbeat"",{}]"'],
        ":2: 'soon' is no time stamp",
    ),
    "csv-bad-payload": (
        ["time,id,type,action,payload", "2026-04-14 10:00:00,1,CALL,Heartbeat,{oops"],
        ":2: the payload is not JSON",
    ),
}


@pytest.mark.parametrize(("lines", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_file_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    path = written(tmp_path, *lines, name="x.csv" if "," in "".join(lines[:1]) else "x.log")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.log: No such file"):
        read(tmp_path / "no.log")


def test_a_trace_cut_off_in_its_last_line_is_read(tmp_path: Path) -> None:
    whole = (SAMPLES / "open-trace.jsonl").read_text()
    path = tmp_path / "t.jsonl"
    path.write_text(whole[:-40])
    recorded = read(path)
    assert len(list(recorded.frames)) == 33
    assert recorded.unknown == [34]


def test_random_bytes_are_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(ConfigError, match="no OCPP frame"):
        read(path)


def test_a_frame_keeps_its_text(tmp_path: Path) -> None:
    raw = '[2, "1","MeterValues",{"connectorId":1.0, "meterValue":[]}]'
    assert next(read(written(tmp_path, f"2026-04-14 10:00:00 TX {raw}  # end")).frames).raw == raw
    line = json.dumps({"timestamp": "2026-04-14T10:00:00Z", "direction": "cp-to-csms", "raw": raw})
    assert next(read(written(tmp_path, line)).frames).raw == raw


EVERY_FRAME = sample("open-trace.jsonl")


def test_frames_printed_with_an_item_on_each_line(tmp_path: Path) -> None:
    log = tmp_path / "indented.log"
    log.write_text(
        "".join(
            f"{1776185882.117 + n:.3f} {'Sent' if frame.outgoing else 'Received'}:\n"
            f"{json.dumps(json.loads(frame.raw), indent=2)}\n"
            for n, frame in enumerate(EVERY_FRAME.frames)
        )
    )
    assert [told(frame) for frame in read(log).frames] == EXPECTED


def test_a_table_with_the_newest_row_on_top_and_columns_of_its_own(tmp_path: Path) -> None:
    rows = []
    for n, frame in enumerate(EVERY_FRAME.frames):
        body = json.loads(frame.raw)[3 if frame.kind == "CALL" else 2]
        cells = [f"{1776185882 + n}", "NL-00417", frame.kind, frame.message_id, frame.action or ""]
        cells += [json.dumps(body), "charger" if frame.outgoing else "backend"]
        rows.append("\t".join(str(cell) for cell in cells))
    table = tmp_path / "export.csv"
    header = "created_at\tdevice\ttype\tuid\tcommand\tbody\tfrom"
    table.write_text("\r\n".join([header, *reversed(rows)]), encoding="utf-16")
    recorded = read(table)
    assert [told(frame) for frame in recorded.frames] == EXPECTED
    assert recorded.notes == ["the newest came first: it was read from its end"]
    lines = [frame.line for frame in recorded.frames]
    assert lines == list(
        range(-len(rows) - 1, -1)
    )  # they rise with time; without the sign they are the file's
    assert not recorded.unknown[1:], "nothing but the header"


@pytest.mark.parametrize(
    ("header", "way"),
    [
        ("Zeitstempel;Ladepunkt;Richtung;Nachricht", ("gesendet", "empfangen")),
        ("Zeitpunkt;Ladestation-ID;Absender;OCPP-Nachricht", ("Ladestation", "Zentrale")),
        ("Zeit;Ladesäule;Richtung;Inhalt", ("Ladesäule -> Zentrale", "Zentrale -> Ladesäule")),
        ("Datum/Uhrzeit;Ladepunkt ID;Richtung;Nachricht", ("ausgehend", "eingehend")),
    ],
)
def test_a_table_with_german_headers_names_its_station(
    tmp_path: Path, header: str, way: tuple[str, str]
) -> None:
    rows = [header]
    for n, frame in enumerate(EVERY_FRAME.frames):
        raw = frame.raw.replace('"', '""')
        rows.append(f'{1776185882 + n};NL-00417;{way[0] if frame.outgoing else way[1]};"{raw}"')
    table = tmp_path / "protokoll.csv"
    table.write_text("\r\n".join(rows), encoding="utf-8-sig")
    recorded = read(table)
    assert recorded.station == "NL-00417"
    assert [told(frame) for frame in recorded.frames] == EXPECTED
    assert not recorded.unknown


CALL, RESULT = '[2,"1","Heartbeat",{}]', '[3,"1",{"currentTime":"2026-04-14T14:58:02Z"}]'


def told_and_when(path: Path, zone: ZoneInfo | None = None) -> list[tuple[bool, str, float]]:
    return [(frame.outgoing, frame.kind, frame.at) for frame in read(path, zone=zone).frames]


AT = 1776178682.0  # 2026-04-14T14:58:02Z
THE_TWO = [(True, "CALL", AT), (False, "CALLRESULT", AT)]


def test_a_rotated_log_is_read_packed(tmp_path: Path) -> None:
    packed = gzip.compress((SAMPLES / "portal.csv").read_bytes())
    path = tmp_path / "portal.csv.gz"
    path.write_bytes(packed)
    recorded = read(path)
    assert (recorded.format, recorded.station) == ("csv", "NL-00417")
    assert [told(frame) for frame in recorded.frames] == EXPECTED
    path.write_bytes(packed[:-40])
    with pytest.raises(ConfigError, match=r"portal\.csv\.gz: is a damaged gzip file .* zcat"):
        read(path)


def test_a_trace_as_one_array(tmp_path: Path) -> None:
    records = [json.loads(line) for line in (SAMPLES / "open-trace.jsonl").read_text().splitlines()]
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(records, indent=1))
    recorded = read(path)
    assert (recorded.format, recorded.station) == ("trace", "NL-00417")
    assert [told(frame) for frame in recorded.frames] == EXPECTED
    lines = path.read_text().splitlines()
    assert [lines[frame.line - 1] for frame in recorded.frames] == [" {"] * len(EXPECTED)


@pytest.mark.parametrize("rest", ["", ",", "\n", "]\n\n"])
def test_an_array_may_lack_its_end(tmp_path: Path, rest: str) -> None:
    """Whoever wrote it may have been ended between two records."""
    record = {"timestamp": "2026-04-14T14:58:02Z", "direction": "cp-to-csms", "raw": CALL}
    path = tmp_path / "trace.json"
    path.write_text(f"[{json.dumps(record)}{rest}")
    assert len(list(read(path).frames)) == 1


def test_lines_of_json_name_their_station_and_side_wherever_they_stand(tmp_path: Path) -> None:
    """Two stations that a log shipper mixed must not become one."""
    lines = [
        json.dumps({"time": "2026-04-14T14:58:02Z", "msg": frame, "dir": side, "chargePointId": name})
        for name in ("A-1", "A-2")
        for frame, side in ((CALL, "in"), (RESULT, "out"))
    ]
    path = written(tmp_path, *lines)
    with pytest.raises(ConfigError, match=r"A-1 \(2 records\), A-2 \(2 records\)"):
        read(path)
    recorded = read(path, station="A-2")
    assert [(frame.outgoing, frame.kind) for frame in recorded.frames] == [told[:2] for told in THE_TWO]


@pytest.mark.parametrize("sep", [(), ("sep=;",)], ids=["plain", "for a spreadsheet"])
@pytest.mark.parametrize("header", ["Datum;Uhrzeit", "Uhrzeit;Datum"])
def test_a_date_and_a_time_in_columns_of_their_own(tmp_path: Path, header: str, sep: tuple[str, ...]) -> None:
    moment = "14.04.2026;16:58:02" if header.startswith("D") else "16:58:02;14.04.2026"
    quoted = [frame.replace('"', '""') for frame in (CALL, RESULT)]
    rows = [f'{moment};{side};"{frame}"' for side, frame in zip(("ein", "aus"), quoted, strict=True)]
    path = written(tmp_path, *sep, f"{header};Richtung;Nachricht", *rows, name="x.csv")
    assert told_and_when(path, BERLIN) == THE_TWO


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_row_may_hold_a_request_and_its_answer(tmp_path: Path, newest_first: bool) -> None:
    start = '"{""connectorId"":1,""idTag"":""T"",""meterStart"":0,""timestamp"":""2026-04-14T14:59:00Z""}"'
    rows = [
        '2026-04-14T14:58:02Z,CP,Heartbeat,{},"{""currentTime"":""2026-04-14T14:58:02Z""}",a',
        f'2026-04-14T14:59:02Z,CP,StartTransaction,{start},"{{""transactionId"":7}}",b',
        '2026-04-14T15:08:02Z,CSMS,Reset,"{""type"":""Soft""}","{""status"":""Accepted""}",c',
        "2026-04-14T15:09:02Z,CP,Heartbeat,{},,d",
    ]
    header = "timestamp,initiator,action,request,response,unique_id"
    path = written(tmp_path, header, *(reversed(rows) if newest_first else rows), name="x.csv")
    recorded = read(path)
    assert [(frame.outgoing, frame.kind, frame.message_id, frame.action) for frame in recorded.frames] == [
        (True, "CALL", "a", "Heartbeat"),
        (False, "CALLRESULT", "a", "Heartbeat"),
        (True, "CALL", "b", "StartTransaction"),
        (False, "CALLRESULT", "b", "StartTransaction"),
        (False, "CALL", "c", "Reset"),
        (True, "CALLRESULT", "c", "Reset"),
        (True, "CALL", "d", "Heartbeat"),
    ]
    assert next(f for f in recorded.frames if f.kind == "CALLRESULT" and f.message_id == "b").payload == {
        "transactionId": 7
    }


@pytest.mark.parametrize("ruled", ["-", "=", "<", ">"])
def test_a_ruled_line_before_a_frame_costs_little(tmp_path: Path, ruled: str) -> None:
    """Milliseconds; minutes, if each mark began to look for the end of an arrow."""
    path = written(tmp_path, f"2026-04-14 14:58:02 TX {ruled * 200_000} {CALL}")
    before = time.process_time()
    assert len(list(read(path).frames)) == 1
    assert time.process_time() - before < 8.0


def test_the_hour_that_comes_twice(tmp_path: Path) -> None:
    """From 03:00 summer time back to 02:00: a stamp without an offset names two moments."""
    clocks = ("01:50:00", "02:10:00", "02:50:00", "02:05:00", "02:55:00", "03:01:00")
    lines = [f"2026-10-25 {at} TX {CALL}" for at in clocks]
    frames = list(read(written(tmp_path, *lines), zone=BERLIN).frames)
    assert [frame.at - frames[0].at for frame in frames] == [60.0 * n for n in (0, 20, 60, 75, 125, 131)]


@pytest.mark.parametrize("behind", ["+9959", "-2400", "-0075"])
def test_what_cannot_be_an_offset_is_none(tmp_path: Path, behind: str) -> None:
    path = written(tmp_path, f"2026-04-14 14:58:02 {behind} TX {CALL}")
    [frame] = read(path).frames
    assert frame.at == AT


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "9999-12-31T00:00:00-14:00"])
def test_a_moment_at_the_end_of_the_calendar_is_no_reference(tmp_path: Path, moment: str) -> None:
    call = CALL.replace("{}", json.dumps({"timestamp": moment}))
    [frame] = read(written(tmp_path, f"2026-04-14 16:58:02 TX {call}"), zone=BERLIN).frames
    assert frame.at == AT


@pytest.mark.parametrize(
    "stamp",
    [
        "Apr 14, 2026 @ 14:58:02.000",
        "Tue, 14 Apr 2026 14:58:02 +0000",
        "14-Apr-2026 14:58:02",
        "2026-04-14 14:58",
        "4/14/2026 2:58 PM",
    ],
)
def test_stamps_of_exports(tmp_path: Path, stamp: str) -> None:
    quoted = CALL.replace('"', '""')
    path = written(tmp_path, "time,message", f'"{stamp}","{quoted}"', name="x.csv")
    [(_, _, at)] = told_and_when(path)
    assert at == (AT if stamp[-5:] not in ("14:58", "58 PM") else AT - 2)
