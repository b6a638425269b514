"""Frames of OCPP-J 1.6 §4: what is read as which message, what is refused, and what goes out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargepoint.rpc import frames
from chargepoint.rpc.frames import Call, Error, Result, Rubbish

LONG_ID = "x" * 37

READ: dict[str, tuple[str, Call | Result | Error | None]] = {
    "a CALL": ('[2,"1","Reset",{"type":"Soft"}]', Call("1", "Reset", {"type": "Soft"})),
    "a CALL with null for a payload (§4.2.1)": ('[2,"1","ClearCache",null]', Call("1", "ClearCache", {})),
    "a CALL whose payload is no object": ('[2,"1","Reset",[]]', Call("1", "Reset", [])),
    "a CALL with an id of 36 characters": (f'[2,"{"x" * 36}","A",{{}}]', Call("x" * 36, "A", {})),
    "a CALL with an empty id": ('[2,"","A",{}]', Call("", "A", {})),
    "a CALL with blanks around": (' [ 2 , "1" , "A" , { } ] \n', Call("1", "A", {})),
    "a CALL with escapes": ('[2,"\\u0031","A",{"a":"\\ud83d\\ude00"}]', Call("1", "A", {"a": "\U0001f600"})),
    "a CALL whose type is 2.0": ('[2.0,"1","A",{}]', Call("1", "A", {})),
    "a CALLRESULT": ('[3,"1",{"status":"Accepted"}]', Result("1", {"status": "Accepted"})),
    "a CALLRESULT with null for a payload": ('[3,"1",null]', Result("1", {})),
    "a CALLRESULT without a payload": ('[3,"1"]', Result("1", {})),
    "a CALLERROR": ('[4,"1","GenericError","why",{}]', Error("1", "GenericError", "why")),
    "a CALLERROR without details": ('[4,"1","GenericError","why"]', Error("1", "GenericError", "why")),
    "a CALLERROR without anything": ('[4,"1"]', Error("1", "GenericError", "")),
    "a CALLERROR whose code is an object": ('[4,"1",{"a":1},[]]', Error("1", "GenericError", "")),
    "a CALLERROR spelled right (errata 5.1)": (
        '[4,"1","OccurrenceConstraintViolation","",{}]',
        Error("1", "OccurenceConstraintViolation", ""),
    ),
    "a CALLERROR of edition 1 (errata 5.2)": (
        '[4,"1","FormatViolation","",{}]',
        Error("1", "FormationViolation", ""),
    ),
    "a CALLERROR that sounds like a failure of ours": (
        '[4,"1","LinkLost","no",{}]',
        Error("1", "GenericError", "LinkLost: no"),
    ),
    "an unknown message type (§4.1.3)": ('[5,"1",{}]', None),
    "message type 0": ("[0]", None),
    "a negative message type": ('[-2,"1","A",{}]', None),
    "a message type between two": ('[2.5,"1","A",{}]', None),
}


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_reads(text: str, expected: object) -> None:
    assert frames.parse(text.encode()) == expected
    assert frames.parse(text) == expected


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"  ",
    "no JSON": b"hello",
    "half a frame": b'[2,"1","Reset",{"type"',
    "two frames": b'[2,"1","A",{}][2,"2","A",{}]',
    "an object": b'{"a":1}',
    "an empty array": b"[]",
    "a string": b'"[2]"',
    "null": b"null",
    "a message type in quotes": b'["2","1","A",{}]',
    "a message type that is true": b'[true,"1","A",{}]',
    "a CALL without an id": b"[2]",
    "a CALL with a number for an id": b'[2,1,"A",{}]',
    "a CALL with null for an id": b'[2,null,"A",{}]',
    "not UTF-8": b'[2,"1","A",{"a":"\xff\xfe"}]',
    "half a surrogate pair in UTF-8": b'[2,"1","A",{"a":"\xed\xa0\x80"}]',
    "a byte order mark": b'\xef\xbb\xbf[2,"1","A",{}]',
    "NaN": b'[2,"1","A",{"a":NaN}]',
    "Infinity": b'[2,"1","A",{"a":-Infinity}]',
    "a number no float holds": b'[2,"1","A",{"a":1e400}]',
    "the same with many digits": b'[2,"1","A",{"a":1e400,"b":1234567890123456789012}]',
    "an integer of a million digits": b'[2,"1","A",{"a":' + b"9" * 1_000_000 + b"}]",
    "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'[2,"1","A",' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]",
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_refuses_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(Rubbish) as refused:
        frames.parse(data)
    assert (refused.value.code, refused.value.message_id) == ("GenericError", "-1")


def test_text_that_cannot_be_encoded_is_no_frame() -> None:
    with pytest.raises(Rubbish):
        frames.parse('[2,"1","A",{"a":"\ud800"}]')


MISSHAPEN = {
    "three parts": ('[2,"1","Reset"]', "1"),
    "five parts": ('[2,"1","Reset",{},{}]', "1"),
    "an action that is a number": ('[2,"1",7,{}]', "1"),
    "an action that is null": ('[2,"1",null,{}]', "1"),
    "an id of 37 characters": (f'[2,"{LONG_ID}","Reset",{{}}]', LONG_ID),
}


@pytest.mark.parametrize(("text", "message_id"), MISSHAPEN.values(), ids=MISSHAPEN)
def test_refuses_a_misshapen_call_under_its_id(text: str, message_id: str) -> None:
    with pytest.raises(Rubbish) as refused:
        frames.parse(text)
    assert (refused.value.code, refused.value.message_id) == ("FormationViolation", message_id)


@pytest.mark.parametrize("text", ["[3]", "[4]", "[3,7,{}]", '[4,null,"GenericError","",{}]', "[3,{},{}]"])
def test_nothing_answers_an_answer(text: str) -> None:
    with pytest.raises(Rubbish) as refused:
        frames.parse(text)
    assert refused.value.message_id is None


def test_integers_keep_every_digit() -> None:
    for number in (2**63 - 1, 2**64 - 1, 2**64, -(2**63) - 1, 10**40):
        frame = frames.parse(f'[3,"1",{{"transactionId":{number}}}]')
        assert isinstance(frame, Result)
        assert frame.payload == {"transactionId": number}
        assert isinstance(frame.payload["transactionId"], int)
        for text in (frames.result("1", frame.payload), frames.call("1", "StopTransaction", frame.payload)):
            assert json.loads(text)[-1] == frame.payload


def test_a_long_fraction_stays_a_fraction() -> None:
    frame = frames.parse('[3,"1",{"a":0.12345678901234567890123,"b":"12345678901234567890123"}]')
    assert frame == Result("1", {"a": 0.12345678901234568, "b": "12345678901234567890123"})


def test_half_a_surrogate_pair_can_neither_be_stored_nor_sent_and_is_replaced() -> None:
    frame = frames.parse('[2,"1","DataTransfer",{"vendorId":"a\\ud800b","data":12345678901234567890}]')
    assert frame == Call("1", "DataTransfer", {"vendorId": "a?b", "data": 12345678901234567890})


def test_five_megabytes() -> None:
    text = "x" * 5_000_000
    frame = frames.parse(json.dumps([2, "1", "DataTransfer", {"vendorId": "v", "data": text}]))
    assert frame == Call("1", "DataTransfer", {"vendorId": "v", "data": text})


WRITTEN: dict[str, tuple[bytes, list[Any]]] = {
    "CALL": (frames.call("1", "Heartbeat", {}), [2, "1", "Heartbeat", {}]),
    "CALLRESULT": (frames.result("1", {"a": "ü"}), [3, "1", {"a": "ü"}]),
    "CALLERROR": (frames.error("1", "GenericError", ""), [4, "1", "GenericError", "", {}]),
    "CALLERROR with a long description": (
        frames.error("1", "GenericError", "x" * 300),
        [4, "1", "GenericError", "x" * 255, {}],
    ),
}


@pytest.mark.parametrize(("data", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_writes(data: bytes, expected: list[Any]) -> None:
    assert json.loads(data) == expected
