"""GetConfiguration and ChangeConfiguration (OCPP 1.6 §5.3, §5.8, §7.22, §7.23)."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from ocpp.exceptions import OccurenceConstraintViolationError
from ocpp.v16 import call

from chargepoint.ocpp16.configuration import Configuration, FactoryConfiguration
from chargepoint.ocpp16.core.settings import Settings
from chargepoint.ocpp16.keys import KEYS, Key
from chargepoint.store import MemoryStore
from hal.api import EvseInfo

SECRET = Key("Secret", "text", "hidden", "W", "Vendor", False, "A secret.")
READABLE = [name for name, key in KEYS.items() if key.access != "W"]
UNSET = Key("OperatorName", "text", None, "RW", "Vendor", False, "Who operates this station.")


def settings(
    too_many_keys: Literal["answer", "error"] = "error",
    infos: tuple[EvseInfo, ...] = (EvseInfo(),),
    **values: str,
) -> Settings:
    """The handlers of a station that also has a secret and an unset key."""
    keys = {**KEYS, "Secret": SECRET, "OperatorName": UNSET}
    factory = FactoryConfiguration(values, infos, keys)
    return Settings(Configuration(MemoryStore(), factory), too_many_keys)


def asked(handlers: Settings, *names: str) -> tuple[list[dict[str, Any]], list[str] | None]:
    """What GetConfiguration answers: entries and unknown keys."""
    answer = handlers.on_get_configuration(call.GetConfiguration(key=list(names)))
    return answer.configuration_key or [], answer.unknown_key


class TestGetConfiguration:
    @pytest.mark.parametrize("key", [None, []], ids=["absent", "empty"])
    def test_everything_readable(self, key: list[str] | None) -> None:
        answer = settings().on_get_configuration(call.GetConfiguration(key=key))
        entries = answer.configuration_key or []
        assert [entry["key"] for entry in entries] == [*READABLE, "OperatorName"]
        assert answer.unknown_key is None
        flags = {entry["key"]: entry["readonly"] for entry in entries}
        assert flags == {**{name: KEYS[name].access == "R" for name in READABLE}, "OperatorName": False}

    def test_everything_does_not_count_against_the_maximum(self) -> None:
        assert len(asked(settings(GetConfigurationMaxKeys="1"))[0]) == len(READABLE) + 1

    def test_entries_in_the_order_asked_with_the_keys_own_spelling(self) -> None:
        entries, unknown = asked(settings(), "resetretries", "HEARTBEATINTERVAL")
        assert entries == [
            {"key": "ResetRetries", "readonly": False, "value": "1"},
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        ]
        assert unknown is None

    def test_read_only(self) -> None:
        entries, _ = asked(settings(), "NumberOfConnectors")
        assert entries == [{"key": "NumberOfConnectors", "readonly": True, "value": "1"}]

    def test_fixed_cable(self) -> None:
        handlers = settings(infos=(EvseInfo(tethered=True),))
        entries, _ = asked(handlers, "UnlockConnectorOnEVSideDisconnect")
        assert entries == [{"key": "UnlockConnectorOnEVSideDisconnect", "readonly": True, "value": "false"}]

    def test_duplicates_are_answered_once(self) -> None:
        entries, unknown = asked(settings(), "ResetRetries", "Foo", "RESETRETRIES", "foo", "ResetRetries")
        assert [entry["key"] for entry in entries] == ["ResetRetries"]
        assert unknown == ["Foo"]

    def test_unknown_keys_in_the_order_asked(self) -> None:
        assert asked(settings(), "Zeta", "ResetRetries", "Alpha")[1] == ["Zeta", "Alpha"]

    def test_only_unknown_keys(self) -> None:
        assert asked(settings(), "Alpha") == ([], ["Alpha"])

    def test_an_empty_value_is_a_value_and_an_unset_one_is_none(self) -> None:
        entries, _ = asked(settings(), "StopTxnSampledData", "OperatorName")
        assert entries == [
            {"key": "StopTxnSampledData", "readonly": False, "value": ""},
            {"key": "OperatorName", "readonly": False},
        ]

    def test_a_secret_asked_for_has_no_value(self) -> None:
        assert asked(settings(), "Secret") == ([{"key": "Secret", "readonly": False}], None)

    def test_keys_of_a_profile_not_in_use_are_unknown(self) -> None:
        handlers = settings(SupportedFeatureProfiles="Core")
        assert asked(handlers, "ChargeProfileMaxStackLevel") == ([], ["ChargeProfileMaxStackLevel"])

    @pytest.mark.parametrize(
        ("too_many_keys", "count", "refused"),
        [
            pytest.param("error", 3, False, id="as many as allowed"),
            pytest.param("error", 4, True, id="one more"),
            pytest.param("answer", 4, False, id="answered all the same"),
        ],
    )
    def test_maximum(self, too_many_keys: Literal["answer", "error"], count: int, refused: bool) -> None:
        handlers = settings(too_many_keys, GetConfigurationMaxKeys="3")
        names = list(KEYS)[:count]
        if refused:
            with pytest.raises(OccurenceConstraintViolationError) as caught:
                asked(handlers, *names)
            assert caught.value.code == "OccurenceConstraintViolation"
        else:
            assert [entry["key"] for entry in asked(handlers, *names)[0]] == names


class TestChangeConfiguration:
    @pytest.mark.parametrize(
        ("key", "value", "status", "afterwards"),
        [
            pytest.param("Foo", "1", "NotSupported", None, id="unknown key"),
            pytest.param("NumberOfConnectors", "1", "Rejected", "1", id="read-only, even the same value"),
            pytest.param("HeartbeatInterval", "-1", "Rejected", "300", id="negative interval"),
            pytest.param("HeartbeatInterval", "soon", "Rejected", "300", id="no number"),
            pytest.param("LocalPreAuthorize", "yes", "Rejected", "false", id="no boolean"),
            pytest.param(
                "MeterValuesSampledData",
                "Energy.Active.Import.Register,RPM",
                "Rejected",
                "Energy.Active.Import.Register",
                id="unsupported measurand",
            ),
            pytest.param("HeartbeatInterval", "60", "Accepted", "60", id="accepted"),
            pytest.param("heartbeatinterval", "60", "Accepted", "60", id="any case"),
            pytest.param("LocalPreAuthorize", "TRUE", "Accepted", "true", id="boolean in any case"),
            pytest.param("OperatorName", "Example", "Accepted", "Example", id="unset before"),
        ],
    )
    def test_row(self, key: str, value: str, status: str, afterwards: str | None) -> None:
        handlers = settings()
        answer = handlers.on_change_configuration(call.ChangeConfiguration(key=key, value=value))
        assert answer.status == status
        entries, _ = asked(handlers, key)
        assert [entry.get("value") for entry in entries] == ([] if afterwards is None else [afterwards])

    def test_a_key_that_needs_a_restart(self) -> None:
        url = Key("Url", "text", None, "RW", "Vendor", False, "Where to connect.", reboot=True)
        factory = FactoryConfiguration({}, (EvseInfo(),), {**KEYS, "Url": url})
        handlers = Settings(Configuration(MemoryStore(), factory), "error")
        answer = handlers.on_change_configuration(
            call.ChangeConfiguration(key="Url", value="ws://example.org")
        )
        assert answer.status == "RebootRequired"
