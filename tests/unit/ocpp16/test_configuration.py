"""The configuration keys, their values and their persistence (OCPP 1.6 §5.3, §7.22, §9)."""

from __future__ import annotations

import pytest

from chargepoint.domain.authorization import AuthorizationPolicy
from chargepoint.domain.metering import ENERGY, Measurand
from chargepoint.domain.ports import Policy
from chargepoint.ocpp16.configuration import KIND, Configuration, FactoryConfiguration, problems
from chargepoint.ocpp16.keys import FEATURE_PROFILES, KEYS, MAX_INTEGER, Key
from chargepoint.ocpp16.security import EXTENSION
from chargepoint.store import MemoryStore
from hal.api import EvseInfo

SOCKET = EvseInfo()
TETHERED = EvseInfo(tethered=True)

# Name, kind, access, required and default as the protocol and this product's defaults have them.
TABLE = """
AllowOfflineTxForUnknownId              bool RW no  false
AuthorizationCacheEnabled               bool RW no  true
AuthorizeRemoteTxRequests               bool RW yes false
ClockAlignedDataInterval                int  RW yes 0
ConnectionTimeOut                       int  RW yes 120
ConnectorPhaseRotation                  csl  RW yes 0.Unknown,1.Unknown
ConnectorPhaseRotationMaxLength         int  R  no  2
GetConfigurationMaxKeys                 int  R  yes 64
HeartbeatInterval                       int  RW yes 300
LocalAuthorizeOffline                   bool RW yes true
LocalPreAuthorize                       bool RW yes false
MaxEnergyOnInvalidId                    int  RW no  0
MessageTimeout                          int  RW no  30
MeterValueSampleInterval                int  RW yes 60
MeterValuesAlignedData                  csl  RW yes Energy.Active.Import.Register
MeterValuesAlignedDataMaxLength         int  R  no  20
MeterValuesSampledData                  csl  RW yes Energy.Active.Import.Register
MeterValuesSampledDataMaxLength         int  R  no  20
MinimumStatusDuration                   int  RW no  0
NumberOfConnectors                      int  R  yes 1
ResetRetries                            int  RW yes 1
StopTransactionMaxMeterValues           int  R  no  500
StopTransactionOnEVSideDisconnect       bool RW no  true
StopTransactionOnInvalidId              bool RW yes true
StopTxnAlignedData                      csl  RW yes -
StopTxnAlignedDataMaxLength             int  R  no  20
StopTxnSampledData                      csl  RW yes -
StopTxnSampledDataMaxLength             int  R  no  20
SupportedFeatureProfiles                csl  R  yes PROFILES
TransactionMessageAttempts              int  RW yes 3
TransactionMessageRetryInterval         int  RW yes 60
UnlockConnectorOnEVSideDisconnect       bool RW yes true
WebSocketPingInterval                   int  RW no  60
SupportedFileTransferProtocols          csl  R  no  FTP,FTPS,HTTP,HTTPS
LocalAuthListEnabled                    bool RW yes true
LocalAuthListMaxLength                  int  R  yes 10000
SendLocalListMaxLength                  int  R  yes 1000
ReserveConnectorZeroSupported           bool R  no  true
ChargeProfileMaxStackLevel              int  R  yes 20
ChargingScheduleAllowedChargingRateUnit csl  R  yes Current,Power
ChargingScheduleMaxPeriods              int  R  yes 100
ConnectorSwitch3to1PhaseSupported       bool R  no  false
MaxChargingProfilesInstalled            int  R  yes 50
DisableSecurityEventNotifications       bool RW no  false
AuthorizationKey                        text W  no  unset
SecurityProfile                         int  RW no  0
AdditionalRootCertificateCheck          bool R  no  false
CertificateSignedMaxChainSize           int  R  no  10000
CertificateStoreMaxLength               int  R  no  20
CpoName                                 text RW no  unset
"""
PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,RemoteTrigger,Reservation,SmartCharging"
ROWS = [line.replace("PROFILES", PROFILES).split() for line in TABLE.strip().splitlines()]

OTHER_VALUE = {
    "ConnectorPhaseRotation": "0.RST,1.SRT",
    "MeterValuesAlignedData": "Voltage,SoC",
    "MeterValuesSampledData": "Voltage,SoC",
    "StopTxnAlignedData": "Voltage,SoC",
    "StopTxnSampledData": "Voltage,SoC",
    "SupportedFeatureProfiles": "Core",
    "ChargingScheduleAllowedChargingRateUnit": "Current",
    "SupportedFileTransferProtocols": "HTTPS",
    "CertificateSignedMaxChainSize": "9999",
}


def other_value(key: Key) -> str:
    """A valid value that is not the default."""
    if key.kind == "bool":
        return "false" if key.default == "true" else "true"
    return OTHER_VALUE.get(key.name) or str(int(key.default or 0) + 1)


def station(store: MemoryStore | None = None, *infos: EvseInfo, **factory: str) -> Configuration:
    """A station with one socket unless told otherwise."""
    return Configuration(store or MemoryStore(), FactoryConfiguration(factory, infos or (SOCKET,)))


EVERY_READABLE = pytest.mark.parametrize(
    "key", [pytest.param(key, id=key.name) for key in KEYS.values() if key.access != "W"]
)
EVERY_KEY = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
CHANGEABLE = pytest.mark.parametrize(
    "key", [pytest.param(key, id=key.name) for key in KEYS.values() if key.name != "NumberOfConnectors"]
)
WRITABLE = pytest.mark.parametrize(
    "key", [pytest.param(key, id=key.name) for key in KEYS.values() if key.access == "RW"]
)
NUMBERS = pytest.mark.parametrize(
    "key", [pytest.param(key, id=key.name) for key in KEYS.values() if key.kind == "int"]
)


class TestTable:
    def test_the_table_is_complete(self) -> None:
        assert [row[0] for row in ROWS] == list(KEYS)

    @pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
    def test_row(self, row: list[str]) -> None:
        key = KEYS[row[0]]
        default = {"-": "", "unset": None}.get(row[4], row[4])
        assert [key.kind, key.access, key.required, key.default] == [row[1], row[2], row[3] == "yes", default]

    @EVERY_KEY
    def test_the_default_is_valid_and_reported_as_it_stands(self, key: Key) -> None:
        assert problems({key.name: key.default or ""}) == {}
        assert station().get(key.name) == key.default

    @EVERY_KEY
    def test_profile_and_description(self, key: Key) -> None:
        assert key.profile in (*FEATURE_PROFILES, EXTENSION)
        assert key.description.endswith(".")

    @EVERY_KEY
    def test_names_are_found_in_any_case(self, key: Key) -> None:
        found = station().find(key.name.swapcase())
        assert found is not None
        assert found.name == key.name

    @CHANGEABLE
    def test_the_factory_value_is_in_force(self, key: Key) -> None:
        value = other_value(key)
        assert station(None, **{key.name: value}).text(key.name) == value

    @EVERY_READABLE
    def test_changed_by_the_central_system(self, key: Key) -> None:
        store = MemoryStore()
        configuration = station(store)
        value = other_value(key)
        expected = ("Accepted", value) if key.access == "RW" else ("Rejected", key.default)
        assert (configuration.change(key.name.upper(), value), configuration.get(key.name)) == expected
        assert station(store).get(key.name) == expected[1]
        assert [name for name, _ in store.items(KIND)] == ([key.name] if key.access == "RW" else [])

    @CHANGEABLE
    def test_changed_by_local_service(self, key: Key) -> None:
        store = MemoryStore()
        configuration = station(store)
        value = other_value(key)
        assert configuration.set_service(key.name, value) is None
        assert configuration.text(key.name) == value
        assert station(store).text(key.name) == value

    @WRITABLE
    def test_malformed_values_change_nothing(self, key: Key) -> None:
        store = MemoryStore()
        configuration = station(store)
        malformed = ["nonsense", "1.5", "-1", "tru", "x" * 501, ",", *([] if key.kind == "csl" else [""])]
        for value in ["x" * (key.maximum + 1)] if key.kind == "text" else malformed:
            assert configuration.change(key.name, value) == "Rejected", value
        assert configuration.get(key.name) == key.default
        assert list(store.items(KIND)) == []


class TestNumbers:
    @NUMBERS
    def test_bounds(self, key: Key) -> None:
        beyond = [str(key.maximum + 1), str(key.minimum - 1), "9" * 400]
        assert all(key.name in problems({key.name: text}) for text in beyond)
        assert all(key.name not in problems({key.name: str(n)}) for n in (key.minimum, key.maximum))

    @pytest.mark.parametrize(
        ("name", "least"),
        [
            pytest.param("MessageTimeout", 1, id="a timeout must last"),
            pytest.param("WebSocketPingInterval", 0, id="no pings"),
            pytest.param("MeterValueSampleInterval", 0, id="no samples"),
            pytest.param("TransactionMessageAttempts", 0, id="no retries"),
            pytest.param("StopTransactionMaxMeterValues", 2, id="begin and end"),
            pytest.param("ChargingScheduleMaxPeriods", 1, id="one period"),
        ],
    )
    def test_least(self, name: str, least: int) -> None:
        assert (KEYS[name].minimum, KEYS[name].maximum) == (least, MAX_INTEGER)

    @pytest.mark.parametrize(
        "text",
        ["", " ", "+5", "-0", " 5", "5 ", "5.0", "0x5", "5e1", "1_000", "\u0665", "\u00b2", "five"],
    )
    def test_refused_texts(self, text: str) -> None:
        assert station().change("HeartbeatInterval", text) == "Rejected"

    def test_leading_zeros_are_dropped(self) -> None:
        configuration = station()
        assert configuration.change("HeartbeatInterval", "007") == "Accepted"
        assert (configuration.get("HeartbeatInterval"), configuration.heartbeat_interval_s) == ("7", 7)


class TestBooleans:
    @pytest.mark.parametrize("text", ["true", "True", "TRUE", "tRuE"])
    def test_any_case_is_reported_in_lower_case(self, text: str) -> None:
        configuration = station()
        assert configuration.change("LocalPreAuthorize", text) == "Accepted"
        assert (configuration.get("LocalPreAuthorize"), configuration.pre_authorize) == ("true", True)

    @pytest.mark.parametrize("text", ["", "1", "0", "yes", " true", "true "])
    def test_refused_texts(self, text: str) -> None:
        assert station().change("LocalPreAuthorize", text) == "Rejected"


class TestMeasurands:
    LISTS = ("MeterValuesSampledData", "MeterValuesAlignedData", "StopTxnSampledData", "StopTxnAlignedData")

    @pytest.mark.parametrize("name", LISTS)
    @pytest.mark.parametrize(
        ("text", "status", "reported"),
        [
            pytest.param("", "Accepted", "", id="empty"),
            pytest.param(" SoC , Voltage.L1-N ", "Accepted", "SoC,Voltage.L1-N", id="blanks"),
            pytest.param("SoC,Voltage,SoC", "Rejected", "Frequency", id="duplicate"),
            pytest.param("SoC,RPM", "Rejected", "Frequency", id="one unsupported spoils the list"),
            pytest.param("SoC,", "Rejected", "Frequency", id="empty element"),
            pytest.param("Voltage.L1,Voltage.L2,Voltage.L3", "Accepted", None, id="as long as allowed"),
            pytest.param("Voltage.L1,Voltage.L2,Voltage.L3,SoC", "Rejected", "Frequency", id="too long"),
        ],
    )
    def test_lists(self, name: str, text: str, status: str, reported: str | None) -> None:
        configuration = station(None, **{name: "Frequency", f"{name}MaxLength": "3"})
        assert configuration.change(name, text) == status
        assert configuration.get(name) == (text if reported is None else reported)

    def test_typed(self) -> None:
        configuration = station(None, MeterValuesAlignedData="Voltage.L1-N,SoC")
        expected = (Measurand("Voltage", "L1-N"), Measurand("SoC"))
        assert configuration.measurands("MeterValuesAlignedData") == expected

    def test_only_an_empty_sampled_list_means_energy(self) -> None:
        configuration = station(None, **dict.fromkeys(self.LISTS, ""))
        assert [configuration.measurands(name) for name in self.LISTS] == [(ENERGY,), (), (), ()]

    @pytest.mark.parametrize(
        ("infos", "element", "status"),
        [
            pytest.param((EvseInfo(phases=1),), "Voltage.L2", "Rejected", id="one phase"),
            pytest.param((EvseInfo(phases=1), SOCKET), "Voltage.L2", "Accepted", id="one of two has it"),
            pytest.param((EvseInfo(current="dc"),), "Power.Factor", "Rejected", id="dc"),
        ],
    )
    def test_what_is_measured_depends_on_the_hardware(
        self, infos: tuple[EvseInfo, ...], element: str, status: str
    ) -> None:
        assert station(None, *infos).change("MeterValuesSampledData", element) == status

    def test_a_raised_length_lets_a_stored_list_be_read_again(self) -> None:
        store = MemoryStore()
        configuration = station(store, MeterValuesAlignedDataMaxLength="1")
        assert configuration.set_service("MeterValuesAlignedDataMaxLength", "2") is None
        assert configuration.change("MeterValuesAlignedData", "SoC,Voltage") == "Accepted"
        again = station(store, MeterValuesAlignedDataMaxLength="1")
        assert again.get("MeterValuesAlignedData") == "SoC,Voltage"


class TestPhaseRotation:
    @pytest.mark.parametrize(
        ("text", "status"),
        [
            pytest.param("0.RST,1.RST,2.RTS", "Accepted", id="all"),
            pytest.param("1.SRT, 2.TSR", "Accepted", id="some, with a blank"),
            pytest.param("0.NotApplicable,1.Unknown", "Accepted", id="words"),
            pytest.param("3.RST", "Rejected", id="no such connector"),
            pytest.param("1.RSR", "Rejected", id="no such rotation"),
            pytest.param("1.rst", "Rejected", id="wrong case"),
            pytest.param("1RST", "Rejected", id="no dot"),
            pytest.param("RST", "Rejected", id="no connector"),
            pytest.param(".RST", "Rejected", id="empty connector"),
            pytest.param("-1.RST", "Rejected", id="negative connector"),
            pytest.param("1.RST,1.RTS", "Rejected", id="twice"),
            pytest.param("1.RST,01.RTS", "Rejected", id="twice in disguise"),
            pytest.param("1.RST,", "Rejected", id="empty element"),
            pytest.param("", "Rejected", id="empty"),
        ],
    )
    def test_syntax(self, text: str, status: str) -> None:
        assert station(None, SOCKET, SOCKET).change("ConnectorPhaseRotation", text) == status

    @pytest.mark.parametrize("connectors", [1, 2, 46, 47, 200])
    def test_default_follows_the_connectors_and_fits_a_message(self, connectors: int) -> None:
        configuration = station(None, *[SOCKET] * connectors)
        text = configuration.get("ConnectorPhaseRotation") or ""
        items = text.split(",")
        assert items == [f"{n}.Unknown" for n in range(len(items))]
        assert len(items) == connectors + 1 or (len(text) <= 500 < len(text) + len(f",{len(items)}.Unknown"))
        assert configuration.integer("ConnectorPhaseRotationMaxLength") == connectors + 1


class TestHardware:
    def test_number_of_connectors_is_not_negotiable(self) -> None:
        factory = FactoryConfiguration({"NumberOfConnectors": "7"}, (SOCKET, SOCKET))
        configuration = Configuration(MemoryStore(), factory)
        assert configuration.integer("NumberOfConnectors") == 2
        assert "NumberOfConnectors is 2" in factory.warnings[0]
        assert configuration.set_service("NumberOfConnectors", "7") is not None
        assert configuration.set_service("NumberOfConnectors", "2") is None
        assert configuration.integer("NumberOfConnectors") == 2

    @pytest.mark.parametrize(
        ("infos", "readonly"),
        [
            pytest.param((TETHERED,), True, id="tethered"),
            pytest.param((TETHERED, TETHERED), True, id="all tethered"),
            pytest.param((TETHERED, SOCKET), False, id="one socket"),
            pytest.param((SOCKET,), False, id="socket"),
        ],
    )
    def test_unlocking_a_fixed_cable(self, infos: tuple[EvseInfo, ...], readonly: bool) -> None:
        name = "UnlockConnectorOnEVSideDisconnect"
        factory = FactoryConfiguration({name: "true"}, infos)
        configuration = Configuration(MemoryStore(), factory)
        assert configuration.readonly(KEYS[name]) is readonly
        assert configuration.unlock_on_ev_side_disconnect is not readonly
        assert len(factory.warnings) == (1 if readonly else 0)
        assert configuration.change(name, "false") == ("Rejected" if readonly else "Accepted")

    def test_agreeing_with_the_hardware_is_no_warning(self) -> None:
        assert FactoryConfiguration({"NumberOfConnectors": "1"}, (SOCKET,)).warnings == ()

    def test_stored_values_of_other_hardware_are_passed_over(self) -> None:
        store = MemoryStore()
        before = station(store, SOCKET, SOCKET)
        assert before.change("ConnectorPhaseRotation", "2.RST") == "Accepted"
        assert before.change("UnlockConnectorOnEVSideDisconnect", "true") == "Accepted"
        store.put(KIND, "KeyOfAnotherVersion", {"value": "1"})
        after = station(store, TETHERED)
        assert after.get("ConnectorPhaseRotation") == "0.Unknown,1.Unknown"
        assert after.unlock_on_ev_side_disconnect is False


class TestProfiles:
    def test_a_missing_profile_takes_its_keys_along(self) -> None:
        configuration = station(None, SupportedFeatureProfiles="Core")
        assert configuration.get("ChargeProfileMaxStackLevel") is None
        assert configuration.change("ChargingScheduleMaxPeriods", "5") == "NotSupported"
        assert configuration.set_service("ChargingScheduleMaxPeriods", "5") is not None
        assert {key.profile for key in configuration.listed()} == {"Core", EXTENSION}
        assert (configuration.supports("Core"), configuration.supports("SmartCharging")) == (True, False)
        assert configuration.max_stack_level == 20

    @pytest.mark.parametrize(
        "text",
        ["", "SmartCharging", "Core,Core", "Core,Reservations", "core"],
        ids=lambda text: text or "empty",
    )
    def test_refused_lists(self, text: str) -> None:
        assert "SupportedFeatureProfiles" in problems({"SupportedFeatureProfiles": text})

    def test_all_by_default(self) -> None:
        configuration = station()
        assert all(configuration.supports(profile) for profile in FEATURE_PROFILES)
        assert configuration.listed() == [key for key in KEYS.values() if key.access != "W"]


class TestFactory:
    def test_problems_are_listed_together_under_the_names_given(self) -> None:
        found = problems(
            {
                "heartbeatinterval": "-5",
                "HeartbeatIntervall": "5",
                "LocalPreAuthorize": "maybe",
                "MessageTimeout": "20",
                "messagetimeout": "30",
                "MeterValuesSampledData": "RPM",
            }
        )
        assert set(found) == {
            "heartbeatinterval",
            "HeartbeatIntervall",
            "LocalPreAuthorize",
            "messagetimeout",
            "MeterValuesSampledData",
        }
        assert all(found.values())

    def test_the_hardware_is_no_problem(self) -> None:
        assert problems({"NumberOfConnectors": "7"}) == {}

    def test_problems_depend_on_the_connectors(self) -> None:
        values = {"ConnectorPhaseRotation": "2.RST"}
        assert set(problems(values)) == set(values)
        assert problems(values, (SOCKET, SOCKET)) == {}

    def test_values_with_problems_make_no_factory(self) -> None:
        with pytest.raises(ValueError, match="MessageTimeout"):
            FactoryConfiguration({"MessageTimeout": "0"}, (SOCKET,))

    def test_names_in_any_case(self) -> None:
        assert station(None, heartbeatINTERVAL="77").heartbeat_interval_s == 77


class TestChanges:
    def test_stations_made_alike_do_not_disturb_each_other(self) -> None:
        factory = FactoryConfiguration({}, (SOCKET,))
        one, two = Configuration(MemoryStore(), factory), Configuration(MemoryStore(), factory)
        assert one.change("ConnectionTimeOut", "9") == "Accepted"
        assert (one.connection_timeout_s, two.connection_timeout_s) == (9, 120)

    def test_a_stored_value_wins_over_the_factory_even_if_it_once_was_the_same(self) -> None:
        store = MemoryStore()
        assert station(store).change("ConnectionTimeOut", "120") == "Accepted"
        assert station(store, ConnectionTimeOut="30").connection_timeout_s == 120

    def test_back_to_the_factory_value(self) -> None:
        store = MemoryStore()
        configuration = station(store)
        for value in ("9", "120"):
            assert configuration.change("ConnectionTimeOut", value) == "Accepted"
        assert configuration.connection_timeout_s == 120
        assert station(store).connection_timeout_s == 120

    def test_listener_hears_changes_of_values_only(self) -> None:
        configuration = station()
        heard: list[tuple[str, int]] = []

        def changed(name: str) -> None:
            heard.append((name, configuration.integer(name)))

        configuration.on_change = changed
        configuration.change("connectiontimeout", "9")
        configuration.change("ConnectionTimeOut", "9")
        configuration.change("ConnectionTimeOut", "x")
        configuration.set_service("ResetRetries", "4")
        assert heard == [("ConnectionTimeOut", 9), ("ResetRetries", 4)]

    def test_a_rollback_and_reload_undo(self) -> None:
        store = MemoryStore()
        configuration = station(store)
        configuration.change("ConnectionTimeOut", "9")
        store.rollback()
        configuration.reload()
        assert configuration.connection_timeout_s == 120

    @pytest.mark.parametrize("name", ["ConnectionTimeOuts", "", "BlinkRepeat", "LightIntensity"])
    def test_unknown_key(self, name: str) -> None:
        configuration = station()
        assert configuration.change(name, "1") == "NotSupported"
        assert configuration.get(name) is None
        assert configuration.set_service(name, "1") is not None

    def test_secret_unset_and_restart_keys(self) -> None:
        table = {
            "Secret": Key("Secret", "text", None, "W", "Vendor", False, "A secret."),
            "Url": Key("Url", "text", None, "RW", "Vendor", False, "Where to connect.", reboot=True),
            "SupportedFeatureProfiles": KEYS["SupportedFeatureProfiles"],
        }
        configuration = Configuration(MemoryStore(), FactoryConfiguration({}, (SOCKET,), table))
        assert (configuration.get("Secret"), configuration.text("Secret")) == (None, None)
        assert configuration.change("Secret", "s3cret, with a comma") == "Accepted"
        assert (configuration.get("Secret"), configuration.text("Secret")) == (None, "s3cret, with a comma")
        assert configuration.change("Url", "ws://example.org/") == "RebootRequired"
        assert configuration.get("Url") == "ws://example.org/"
        assert [key.name for key in configuration.listed()] == ["Url", "SupportedFeatureProfiles"]


class TestPolicy:
    def test_a_configuration_is_what_the_domain_asks_for(self) -> None:
        configuration = station()
        charging: Policy = configuration
        identifiers: AuthorizationPolicy = configuration
        assert charging.connection_timeout_s == 120
        assert identifiers.authorize_offline is True

    @pytest.mark.parametrize(
        ("attribute", "key"),
        [
            ("connection_timeout_s", "ConnectionTimeOut"),
            ("stop_on_ev_side_disconnect", "StopTransactionOnEVSideDisconnect"),
            ("unlock_on_ev_side_disconnect", "UnlockConnectorOnEVSideDisconnect"),
            ("stop_on_invalid_id", "StopTransactionOnInvalidId"),
            ("max_energy_on_invalid_id_wh", "MaxEnergyOnInvalidId"),
            ("authorize_remote", "AuthorizeRemoteTxRequests"),
            ("sample_interval_s", "MeterValueSampleInterval"),
            ("aligned_interval_s", "ClockAlignedDataInterval"),
            ("stop_max_meter_values", "StopTransactionMaxMeterValues"),
            ("attempts", "TransactionMessageAttempts"),
            ("retry_interval_s", "TransactionMessageRetryInterval"),
            ("message_timeout_s", "MessageTimeout"),
            ("heartbeat_interval_s", "HeartbeatInterval"),
            ("ping_interval_s", "WebSocketPingInterval"),
            ("minimum_status_duration_s", "MinimumStatusDuration"),
            ("reset_retries", "ResetRetries"),
            ("cache_enabled", "AuthorizationCacheEnabled"),
            ("pre_authorize", "LocalPreAuthorize"),
            ("authorize_offline", "LocalAuthorizeOffline"),
            ("allow_unknown_offline", "AllowOfflineTxForUnknownId"),
            ("max_stack_level", "ChargeProfileMaxStackLevel"),
            ("max_periods", "ChargingScheduleMaxPeriods"),
            ("max_profiles_installed", "MaxChargingProfilesInstalled"),
            ("max_keys", "GetConfigurationMaxKeys"),
        ],
    )
    def test_attributes_follow_their_keys(self, attribute: str, key: str) -> None:
        configuration = station()
        assert configuration.set_service(key, other_value(KEYS[key])) is None
        value: object = getattr(configuration, attribute)
        assert str(value).lower() == other_value(KEYS[key])
        assert value == (
            configuration.boolean(key) if KEYS[key].kind == "bool" else configuration.integer(key)
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Current,Power", ("A", "W")),
            ("Power,Current", ("W", "A")),
            ("Power", ("W",)),
            ("Current", ("A",)),
        ],
        ids=["both", "watts-first", "watts", "amperes"],
    )
    def test_allowed_units(self, text: str, expected: tuple[str, ...]) -> None:
        assert station(None, ChargingScheduleAllowedChargingRateUnit=text).allowed_units == expected

    @pytest.mark.parametrize("text", ["A,W", "", "Current,Current", "current"])
    def test_unit_words_are_not_those_of_schedules(self, text: str) -> None:
        name = "ChargingScheduleAllowedChargingRateUnit"
        assert name in problems({name: text})
