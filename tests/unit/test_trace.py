"""Trace files: the Open OCPP Trace format for frames, events beside them, secrets masked (§10.2)."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from chargepoint.errors import ConfigError
from chargepoint.trace import Trace, json_line, redact

ROOT = Path(__file__).parents[2]
AT = 1717230600.1239


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def traced(path: Path, *frames: tuple[bool, str | bytes]) -> list[dict[str, Any]]:
    trace = Trace(path, "CP001")
    for outgoing, text in frames:
        trace.frame(AT, outgoing, text)
    trace.close()
    return written(path)


def test_a_call_and_its_answer(tmp_path: Path) -> None:
    call = '[2, "7","Heartbeat",{}]'
    answer = '[3,"7",{"currentTime":"2024-06-01T08:30:00Z"}]'
    common = {
        "schemaVersion": "1.0",
        "timestamp": "2024-06-01T08:30:00.123Z",
        "ocppVersion": "1.6",
        "transport": "json",
        "chargePointId": "CP001",
        "messageId": "7",
        "action": "Heartbeat",
    }
    assert traced(tmp_path / "t", (True, call), (False, answer)) == [
        common | {"direction": "cp-to-csms", "messageType": "CALL", "payload": {}, "raw": call},
        common
        | {
            "direction": "csms-to-cp",
            "messageType": "CALLRESULT",
            "payload": {"currentTime": "2024-06-01T08:30:00Z"},
            "raw": answer,
        },
    ]


def test_an_error_carries_its_parts_and_the_action_it_answers(tmp_path: Path) -> None:
    record = traced(
        tmp_path / "t", (False, '[2,"a","Reset",{}]'), (True, '[4,"a","NotSupported","no",{"x":1}]')
    )[1]
    assert record["messageType"] == "CALLERROR"
    assert record["action"] == "Reset"
    assert record["error"] == {"code": "NotSupported", "description": "no", "details": {"x": 1}}
    assert "payload" not in record


def test_an_answer_belongs_to_the_other_side_s_call_and_is_used_once(tmp_path: Path) -> None:
    records = traced(
        tmp_path / "t",
        (True, '[2,"1","Heartbeat",{}]'),
        (False, '[2,"1","ClearCache",{}]'),
        (True, '[3,"1",{"status":"Accepted"}]'),
        (False, '[3,"1",{}]'),
        (False, '[3,"1",{}]'),
    )
    assert [record.get("action") for record in records[2:]] == ["ClearCache", "Heartbeat", None]


def test_calls_without_answers_are_forgotten(tmp_path: Path) -> None:
    calls = [(True, f'[2,"{number}","Heartbeat",{{}}]') for number in range(1000)]
    records = traced(tmp_path / "t", *calls, (False, '[3,"0",{}]'), (False, '[3,"999",{}]'))
    assert [record.get("action") for record in records[-2:]] == [None, "Heartbeat"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        '[2,"1"]',
        '[2,1,"Heartbeat",{}]',
        "[5,1,2,3]",
        '[2,"1","Heartbeat"',
        "[" * 5000,
    ],
    ids=str,
)
def test_what_is_no_frame_is_kept_verbatim(tmp_path: Path, text: str) -> None:
    [record] = traced(tmp_path / "t", (False, text))
    assert record["messageType"] == "UNKNOWN"
    assert record["raw"] == text
    assert "messageId" not in record


def test_numbers_and_texts_that_orjson_refuses_are_written(tmp_path: Path) -> None:
    text = f'[3,"1",{{"transactionId":{2**70},"idTag":"\\ud800"}}]'
    [record] = traced(tmp_path / "t", (False, text))
    assert record["raw"] == text
    assert record["payload"] == {"transactionId": 2**70, "idTag": "\ud800"}


def test_bytes_that_are_not_utf_8_are_written(tmp_path: Path) -> None:
    assert traced(tmp_path / "t", (False, b"\xff\xfe"))[0]["raw"] == "\ufffd\ufffd"


def test_events_stand_beside_frames(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t", "CP001")
    trace.event(AT, "pilot", connector=1, state="C")
    trace.close()
    assert written(tmp_path / "t") == [
        {
            "schemaVersion": "1.0",
            "timestamp": "2024-06-01T08:30:00.123Z",
            "chargePointId": "CP001",
            "event": "pilot",
            "connector": 1,
            "state": "C",
        }
    ]


def test_a_trace_is_private_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    traced(tmp_path / "t", (True, "one"))
    assert len(traced(tmp_path / "t", (True, "two"))) == 2
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o600


def test_each_line_reaches_the_file_at_once(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t", "CP001")
    trace.frame(AT, True, "one")
    assert len(written(tmp_path / "t")) == 1
    trace.close()


def test_a_file_that_cannot_be_opened_is_the_user_s_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trace .*/no/t: No such file or directory; choose a file in"):
        Trace(tmp_path / "no" / "t", "CP001")


def test_a_full_disk_is_reported_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    trace = Trace(Path("/dev/full"), "CP001")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            trace.frame(AT, True, '[2,"1","Heartbeat",{}]')
    trace.close()
    assert trace.missed == 3
    assert len(caplog.records) == 1


def test_a_disk_that_fills_up_within_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    script = """
        import resource, sys
        from pathlib import Path
        from chargepoint.trace import Trace
        trace = Trace(Path(sys.argv[1]), "CP001")
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        for number in range(20):
            trace.event(float(number), "tick", n=number)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        trace.event(20.0, "tick", n=20)
        print(trace.missed)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "t")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    numbers = [record["n"] for record in written(tmp_path / "t")]
    assert numbers == [*range(len(numbers) - 1), 20]
    assert int(answer.stdout) == 20 - (len(numbers) - 1) > 0


SECRET = "00112233445566778899AABBCCDDEEFF"
HIDING_PLACES = {
    "change-configuration": '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}]',
    "other-order-and-blanks": '[2, "1", "ChangeConfiguration", {"value": "%s", "key": "AuthorizationKey"}]',
    "other-case": '[2,"1","ChangeConfiguration",{"key":"AUTHORIZATIONKEY ","value":"%s"}]',
    "escaped-key": '[2,"1","ChangeConfiguration",{"key":"\\u0041uthorization\\u004bey","value":"%s"}]',
    "escaped-names": '[2,"1","ChangeConfiguration",{"k\\u0065y":"AuthorizationKey","v\\u0061lue":"%s"}]',
    "given-twice": '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s","value":"x"}]',
    "wrong-type": '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":["%s"]}]',
    "read-back": '[3,"1",{"configurationKey":[{"key":"AuthorizationKey","readonly":false,"value":"%s"}]}]',
    "echoed-as-details": '[4,"1","FormationViolation","",{"key":"AuthorizationKey","value":"%s"}]',
    "echoed-as-text": "[4,\"1\",\"FormationViolation\",\"{'key': 'AuthorizationKey', 'value': '%s'}\",{}]",
    "json-in-json": r'[2,"1","DataTransfer",{"a":"{\"key\":\"Authorizat\\u0069onKey\",\"value\":\"%s\"}"}]',
    "cut-off": '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s',
}


@pytest.mark.parametrize("frame", HIDING_PLACES.values(), ids=HIDING_PLACES)
def test_the_authorization_key_is_never_shown(tmp_path: Path, frame: str) -> None:
    text = frame % SECRET
    assert SECRET not in redact(text)
    assert SECRET not in redact(text.encode())
    traced(tmp_path / "t", (False, text))
    assert SECRET not in (tmp_path / "t").read_text()


def test_only_the_value_is_masked() -> None:
    assert (
        redact(HIDING_PLACES["change-configuration"] % SECRET)
        == '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"***"}]'
    )


@pytest.mark.parametrize(
    "text",
    [
        '[2, "1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]',
        '[2,"1","GetConfiguration",{"key": ["AuthorizationKey"]}]',
        '[2,"1","Authorize",{"idTag":"M\\u00fcller"}]',
        "not JSON",
    ],
)
def test_every_other_text_is_untouched(text: str) -> None:
    assert redact(text) == text
    assert redact(text.encode()) == text


def test_a_line_of_json_lines_has_no_line_end_within() -> None:
    assert json_line({"a": "x\ny\u2028"}) == '{"a":"x\\ny\u2028"}\n'.encode()
    assert json_line({"a": [2**70]}) == b'{"a":[%d]}\n' % 2**70
