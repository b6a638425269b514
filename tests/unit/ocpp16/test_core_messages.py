"""ChangeConfiguration, GetConfiguration and DataTransfer over the wire (OCPP 1.6 §5.3, §5.6, §5.8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.test_power_loss import Disk


@pytest.fixture
def bench() -> Bench:
    """A station in operation, with a disk."""
    bench = Bench(store=Disk())
    bench.connect()
    return bench


def change(bench: Bench, key: str, value: str) -> Any:
    return bench.call("ChangeConfiguration", {"key": key, "value": value})["status"]


def values(bench: Bench, *keys: str) -> dict[str, Any]:
    answer = bench.call("GetConfiguration", {"key": list(keys)})
    return {entry["key"]: entry.get("value") for entry in answer["configurationKey"]}


CHANGES = {
    "a new value": ("HeartbeatInterval", "77", "Accepted"),
    "a name in another case": ("heartbeatINTERVAL", "77", "Accepted"),
    "a value in another case": ("LocalPreAuthorize", "TRUE", "Accepted"),
    "an unknown key": ("Nonsense", "1", "NotSupported"),
    "a read-only key": ("NumberOfConnectors", "9", "Rejected"),
    "a negative interval": ("HeartbeatInterval", "-1", "Rejected"),
    "no number": ("HeartbeatInterval", "soon", "Rejected"),
    "a number with blanks": ("HeartbeatInterval", " 77", "Rejected"),
    "no truth": ("LocalPreAuthorize", "yes", "Rejected"),
    "an unknown measurand": ("MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense", "Rejected"),
    "an impossible timeout": ("MessageTimeout", "0", "Rejected"),
}


@pytest.mark.parametrize(("key", "value", "status"), CHANGES.values(), ids=CHANGES)
def test_change(bench: Bench, key: str, value: str, status: str) -> None:
    before = values(bench)
    assert change(bench, key, value) == status
    assert (values(bench) != before) == (status == "Accepted")


def test_a_change_survives_a_power_cut(bench: Bench) -> None:
    assert change(bench, "MeterValueSampleInterval", "17") == "Accepted"
    bench.disconnect()
    bench.restart()
    bench.connect()
    assert values(bench, "MeterValueSampleInterval") == {"MeterValueSampleInterval": "17"}


def test_a_refused_change_survives_nothing(bench: Bench) -> None:
    assert change(bench, "MeterValueSampleInterval", "-17") == "Rejected"
    bench.restart()
    bench.connect()
    assert values(bench, "MeterValueSampleInterval") == {"MeterValueSampleInterval": "60"}


class TestGet:
    @pytest.mark.parametrize("payload", [{}, {"key": []}], ids=str)
    def test_all(self, bench: Bench, payload: dict[str, Any]) -> None:
        answer = bench.call("GetConfiguration", payload)
        assert set(answer) == {"configurationKey"}
        found = {entry["key"]: entry for entry in answer["configurationKey"]}
        assert {"HeartbeatInterval", "SupportedFeatureProfiles", "ChargeProfileMaxStackLevel"} <= set(found)
        assert found["NumberOfConnectors"] == {"key": "NumberOfConnectors", "readonly": True, "value": "1"}
        assert all(set(entry) <= {"key", "readonly", "value"} for entry in answer["configurationKey"])

    def test_some_in_the_order_asked_and_each_once(self, bench: Bench) -> None:
        asked = ["nonsense", "connectiontimeout", "HeartbeatInterval", "Nonsense", "ConnectionTimeOut"]
        answer = bench.call("GetConfiguration", {"key": asked})
        assert [entry["key"] for entry in answer["configurationKey"]] == [
            "ConnectionTimeOut",
            "HeartbeatInterval",
        ]
        assert answer["unknownKey"] == ["nonsense"]

    @pytest.mark.parametrize(
        ("choice", "expected"), [("error", "OccurenceConstraintViolation"), ("answer", ["A", "B", "C"])]
    )
    def test_more_than_allowed(self, choice: str, expected: Any) -> None:
        ocpp = {"GetConfigurationMaxKeys": "2"}
        bench = Bench(ocpp=ocpp, compatibility={"too_many_configuration_keys": choice})
        bench.connect()
        answer = bench.call("GetConfiguration", {"key": ["A", "B", "C"]})
        assert (answer if isinstance(answer, str) else answer["unknownKey"]) == expected
        assert bench.call("GetConfiguration", {"key": ["A", "B"]})["unknownKey"] == ["A", "B"]


class TestDataTransfer:
    def vendor(self, message_id: str | None, data: str | None) -> tuple[str, str | None]:
        if message_id == "crash":
            raise KeyError(message_id)
        if message_id != "echo":
            return "UnknownMessageId", None
        return ("Accepted", data) if data else ("Rejected", None)

    @pytest.mark.parametrize(
        ("payload", "answer"),
        [
            ({"vendorId": "Nobody"}, {"status": "UnknownVendorId"}),
            ({"vendorId": "V"}, {"status": "UnknownMessageId"}),
            ({"vendorId": "V", "messageId": "shout"}, {"status": "UnknownMessageId"}),
            ({"vendorId": "V", "messageId": "echo"}, {"status": "Rejected"}),
            (
                {"vendorId": "V", "messageId": "echo", "data": '{"a": 1}'},
                {"status": "Accepted", "data": '{"a": 1}'},
            ),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_from_the_central_system(self, bench: Bench, payload: Any, answer: Any) -> None:
        bench.cp.operations.register_vendor("V", self.vendor)
        assert bench.call("DataTransfer", payload) == answer

    def test_a_vendor_that_fails_is_our_own_fault(self, bench: Bench) -> None:
        bench.cp.operations.register_vendor("V", self.vendor)
        bench.csms.say([2, "a", "DataTransfer", {"vendorId": "V", "messageId": "crash"}])
        bench.clock.advance(0)
        assert bench.csms.frames[-1][1][:3] == [4, "a", "InternalError"]
        assert [type(error) for error in bench.errors] == [KeyError]
        bench.errors.clear()
        assert bench.call("ClearCache", {}) == {"status": "Accepted"}
