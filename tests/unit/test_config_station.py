"""What a station's configuration means and forbids (OCPP 1.6 §6.3, §9; whitepaper A00; IEC 61851-1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from chargepoint.config import (
    CompatibilityConfig,
    ConnectorConfig,
    CsmsConfig,
    NameplateConfig,
    ReaderConfig,
    StationConfig,
    parse,
)
from chargepoint.errors import ConfigError


def problem(text: str) -> str:
    """The one thing that is wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "s")
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "place", "fault"),
    [
        ("csms: {url: http://h}", "csms.url", "write ws://host/path or wss://host/path"),
        ("csms: {url: 'ws:///path'}", "csms.url", "is not a URL"),
        ("csms: {url: ws://h:99999}", "csms.url", "is not a URL"),
        ("csms: {url: 'ws://h/#x'}", "csms.url", "is not a URL"),
        ("csms: {url: 'wss://u:pass@h'}", "csms.url", "use csms.authorization_key"),
        ("csms: {security_profile: 4}", "csms.security_profile", "must be at most 3"),
        ("csms: {security_profile: 1}", "csms.authorization_key", "is needed"),
        ("csms: {security_profile: 2, authorization_key: x}", "csms.security_profile", "set csms.url"),
        ("csms: {url: ws://h, security_profile: 2, authorization_key: x}", "csms.security_profile", "wss://"),
        ("csms: {url: wss://h, security_profile: 3}", "csms.tls.cert", "is needed"),
        ("csms: {authorization_key: ''}", "csms.authorization_key", "must not be empty"),
        ("csms: {tls: {key: k.pem}}", "csms.tls.key", "set csms.tls.cert"),
        ("csms: {reconnect: {min_s: 5, max_s: 4}}", "csms.reconnect.max_s", "less than min_s"),
        ("csms: {proxy: 'socks5://u:pass@h'}", "csms.proxy", "write auto, null or http://host:port"),
        ("identity: ''", "identity", "must not be empty"),
        ('identity: "a\\nb"', "identity", "cannot be printed"),
        (
            "identity: 'a:b'\ncsms: {security_profile: 1, authorization_key: x}",
            "csms.security_profile",
            "colon",
        ),
        ("station: {vendor: ''}", "station.vendor", "must not be empty"),
        ("connectors: []", "connectors", "must not be empty"),
        ("connectors: [ac]", "connectors[0]", "is not a group of keys"),
        ("connectors: [{current: dc, cable: socket}]", "connectors[0].cable", "tethered"),
        ("connectors: [{cable: tethered, lock: true}]", "connectors[0].lock", "auto or false"),
        ("connectors: [{max_current_a: 81}]", "connectors[0].max_current_a", "at most 80 (is 81)"),
        ("connectors: [{max_power_w: 11000}]", "connectors[0].max_power_w", "for dc only"),
        ("connectors: [{evse: {}}]", "connectors[0].evse.driver", "is missing"),
        ("connectors: [{evse: {driver: simulatde}}]", "connectors[0].evse.driver", "did you mean simulated?"),
        ("connectors: [{evse: simulated}]", "connectors[0].evse", "is not a group of keys"),
        ("site: {}", "site.limit_a", "is missing"),
        ("site: {limit_a: 0}", "site.limit_a", "above 0"),
        ("site: {limit_a: 40, meter: {driver: sdm63}}", "site.meter.driver", "did you mean sdm630?"),
        ("site: {limit_a: 40, meter: {driver: sdm630}}", "site.meter.port", "missing"),
        ("site: {limit_a: 40, meter: {driver: fed, a: 1}}", "site.meter.a", "no such setting"),
        (
            "site: {limit_a: 40, meter: {driver: simulated, base_load_a: [1, 2]}}",
            "site.meter.base_load_a",
            "2 currents for 3 lines",
        ),
        ("site: {limit_a: 40, phases: 1}", "site.phases", "at least 3, as connector 1 needs (is 1)"),
        ("site: {limit_a: 40, reserve_a: 41}", "site.reserve_a", "above limit_a, 40"),
        ("site: {limit_a: 40, safe_a: 41}", "site.safe_a", "above limit_a, 40"),
        ("site: {limit_a: 40, poll_s: 3}", "site.reaction_s", "at least twice poll_s, 6 (is 5)"),
        ("site: {limit_a: 40, meter_lost_s: 1}", "site.meter_lost_s", "at least twice poll_s, 2 (is 1)"),
        ("site: {limit_a: 9, rules: [{busy: 2, limit_a: 9}, {busy: 2, limit_a: 8}]}", "site.rules", "ascend"),
        ("ocpp: {AuthorizationKey: x}", "ocpp.AuthorizationKey", "csms.authorization_key"),
        ("ocpp: {MessageTimeout: 0}", "ocpp.MessageTimeout", "at least 1"),
        ("ocpp: {MeterValuesSampledData: Humidity}", "ocpp.MeterValuesSampledData", "Humidity"),
        ("ocpp: {MessageTimeout: [5]}", "ocpp.MessageTimeout", "is not text"),
        ("behaviour: {preparing_timeout: fin}", "behaviour.preparing_timeout", "auto, finishing or stay"),
        ("behaviour: {diagnostics_file_name: 'a/b'}", "behaviour.diagnostics_file_name", "slash"),
        ("behaviour: {diagnostics_file_name: '{x}'}", "behaviour.diagnostics_file_name", "{identity}"),
        ("behaviour: {diagnostics_file_name: '{'}", "behaviour.diagnostics_file_name", "brace"),
        ("behaviour: {free_charging_id_tag: 123456789012345678901}", "behaviour.free_charging_id_tag", "20"),
        (
            "compatibility: {firmware_signature_algorithms: [ecdsa, dsa]}",
            "compatibility.firmware_signature_algorithms[1]",
            "rsa_pss, rsa_pkcs1v15 or ecdsa",
        ),
        (
            "compatibility: {firmware_signature_algorithms: [ecdsa, ecdsa]}",
            "compatibility.firmware_signature_algorithms",
            "twice",
        ),
        (
            "csms: {authorization_key: pass}\ncompatibility: {authorization_key_encoding: hex}",
            "compatibility.authorization_key_encoding",
            "hexadecimal",
        ),
        ("vehicle: {kind: city, soc_percent: 200}", "vehicle.soc_percent", "200"),
        ("vehicle: [city]", "vehicle", "a vehicle's name"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(text: str, place: str, fault: str) -> None:
    found = problem(text)
    assert found.split(": ")[1] == place
    assert fault in found
    assert "pass" not in found.replace("password", "")


@pytest.mark.parametrize(
    "text",
    [
        "csms: {url: ws://h}",
        "csms: {url: 'WSS://[::1]:9000/ocpp/?a=b'}",
        "csms: {url: ws://h, security_profile: 1, authorization_key: p}",
        "csms: {url: wss://h, security_profile: 2, authorization_key: p}",
        "csms: {url: wss://h, security_profile: 3, tls: {cert: c.pem}}",
        "csms: {proxy: 'http://u:p@proxy:3128'}",
        "csms: {proxy: null}",
        "connectors: [{max_current_a: 6}, {max_current_a: 80, cable: tethered, lock: false}]",
        "connectors: [{current: dc, max_current_a: 500, max_power_w: 350000}]",
        "ocpp: {metervaluesampleinterval: 10, StopTxnSampledData: ''}",
        "behaviour: {fault_stops_transaction_after_s: null}",
        "storage: null",
        "vehicle: {kind: van, soc_percent: 80}",
    ],
)
def test_what_can_be_is_accepted(text: str) -> None:
    assert parse(text) != StationConfig()


def test_a_dc_outlet_has_its_cable_fixed_without_saying_so() -> None:
    (connector,) = parse("connectors: [{current: dc, max_current_a: 200, max_power_w: 100000}]").connectors
    assert (connector.cable, connector.info.tethered, connector.info.lockable) == ("tethered", True, False)


@pytest.mark.parametrize(
    ("cable", "lock", "lockable"),
    [
        ("socket", "auto", True),
        ("socket", "false", False),
        ("tethered", "auto", False),
        ("socket", "true", True),
    ],
)
def test_a_socket_is_locked_unless_told_otherwise(cable: str, lock: str, lockable: bool) -> None:
    (connector,) = parse(f"connectors: [{{cable: {cable}, lock: {lock}}}]").connectors
    assert connector.info.lockable is lockable


def test_empty_boot_fields_are_left_out() -> None:
    assert parse("station: {serial_number: '', firmware_version: ''}").station.serial_number is None


def test_the_password_shows_nowhere() -> None:
    csms = "csms: {security_profile: 1, authorization_key: hunter2hunter2, proxy: 'http://u:hunter2@p:1'}"
    config = parse(csms)
    assert config.csms.authorization_key is not None
    assert config.csms.authorization_key.get_secret_value() == "hunter2hunter2"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config.csms)
    assert "hunter2" not in config.model_dump_json(exclude={"csms": {"proxy"}})


def test_from_python_plain_values_are_given() -> None:
    config = StationConfig(
        connectors=(ConnectorConfig(max_current_a=16, reader=ReaderConfig(driver="simulated")),),
        csms=CsmsConfig(url="ws://h"),
        compatibility=CompatibilityConfig(allow_unsigned_firmware=True),
        station=NameplateConfig(model="A model with a very long name"),
    )
    assert config.connectors[0].info.max_current_a == 16
    assert config.station.model == "A model with a very "


def test_from_python_strings_are_not_taken_for_numbers() -> None:
    with pytest.raises(ValidationError):
        ConnectorConfig.model_validate({"max_current_a": "16"})


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        StationConfig().identity = "CP2"


def test_flags_override_the_file() -> None:
    config = parse(
        "identity: A\nconnectors: [{max_current_a: 16}, {max_current_a: 20}]\nocpp: {MessageTimeout: 5}"
    )
    changed = config.with_flags(
        identity="B",
        csms="ws://h",
        security_profile=1,
        authorization_key="p",
        connectors=4,
        vehicle="van",
        storage=Path("/var/lib/cp"),
    )
    assert (changed.identity, changed.csms.url, changed.csms.security_profile) == ("B", "ws://h", 1)
    assert [connector.max_current_a for connector in changed.connectors] == [16, 20, 20, 20]
    assert (changed.vehicle, changed.storage) == ("van", Path("/var/lib/cp"))
    assert changed.ocpp == {"MessageTimeout": "5"}
    assert config.identity == "A"


def test_fewer_connectors_cut_the_list_and_no_flag_changes_nothing() -> None:
    config = parse("connectors: [{max_current_a: 16}, {max_current_a: 20}]")
    assert [connector.max_current_a for connector in config.with_flags(connectors=1).connectors] == [16]
    assert config.with_flags() == config


@pytest.mark.parametrize("count", [-1, 0, 101, 10**12])
def test_a_station_has_1_to_100_connectors(count: int) -> None:
    with pytest.raises(ConfigError) as caught:
        StationConfig().with_flags(connectors=count)
    assert caught.value.problems == [f"--connectors: must be from 1 to 100 (is {count})"]


def test_a_flag_that_does_not_fit_the_file_names_the_key_of_the_file() -> None:
    config = parse("csms: {url: wss://h, security_profile: 2, authorization_key: p}")
    with pytest.raises(ConfigError) as caught:
        config.with_flags(csms="ws://h")
    assert [found.split(": ")[0] for found in caught.value.problems] == ["csms.security_profile"]


def test_wrong_flags_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        StationConfig().with_flags(
            identity="", csms="http://h", security_profile=1, connectors=0, vehicle="x"
        )
    assert [found.split(": ")[0] for found in caught.value.problems] == [
        "--connectors",
        "--id",
        "--csms",
        "csms.authorization_key",
        "--vehicle",
    ]
