"""CALLERROR codes (OCPP-J 1.6 §4.2.3): which mistake in a CALL of theirs gets which.

The catalogue below is written down from OCPP 1.6 §6 and §7, not from the schemas, and the plain `jsonschema`
package judges the same payloads by the schemas: both must agree with the station.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from ocpp import exceptions

from chargepoint.ocpp16 import schema
from tests.unit.ocpp16.bench import Bench

OBJECTS = {
    "IdTagInfo": "status*:{Accepted|Blocked|Expired|Invalid|ConcurrentTx} expiryDate:time parentIdTag:str20",
    "AuthorizationData": "idTag*:str20 idTagInfo:IdTagInfo",
    "ChargingProfile": "chargingProfileId*:int transactionId:int stackLevel*:int"
    " chargingProfilePurpose*:{ChargePointMaxProfile|TxDefaultProfile|TxProfile}"
    " chargingProfileKind*:{Absolute|Recurring|Relative} recurrencyKind:{Daily|Weekly}"
    " validFrom:time validTo:time chargingSchedule*:ChargingSchedule",
    "ChargingSchedule": "duration:int startSchedule:time chargingRateUnit*:{A|W}"
    " chargingSchedulePeriod*:[Period] minChargingRate:decimal",
    "Period": "startPeriod*:int limit*:decimal numberPhases:int",
    "Hash": "hashAlgorithm*:{SHA256|SHA384|SHA512} issuerNameHash*:str128 issuerKeyHash*:str128"
    " serialNumber*:str40",
    "LogParameters": "remoteLocation*:str512 oldestTimestamp:time latestTimestamp:time",
    "Firmware": "location*:str512 retrieveDateTime*:time installDateTime:time signingCertificate*:str5500"
    " signature*:str800",
}

SERVED = {
    "ChangeAvailability": "connectorId*:int type*:{Inoperative|Operative}",
    "ChangeConfiguration": "key*:str50 value*:str500",
    "ClearCache": "",
    "DataTransfer": "vendorId*:str255 messageId:str50 data:str",
    "GetConfiguration": "key:[str50]",
    "RemoteStartTransaction": "connectorId:int idTag*:str20 chargingProfile:ChargingProfile",
    "RemoteStopTransaction": "transactionId*:int",
    "Reset": "type*:{Hard|Soft}",
    "UnlockConnector": "connectorId*:int",
    "SetChargingProfile": "connectorId*:int csChargingProfiles*:ChargingProfile",
    "ClearChargingProfile": "id:int connectorId:int"
    " chargingProfilePurpose:{ChargePointMaxProfile|TxDefaultProfile|TxProfile} stackLevel:int",
    "GetCompositeSchedule": "connectorId*:int duration*:int chargingRateUnit:{A|W}",
    "TriggerMessage": "requestedMessage*:str connectorId:int",  # an unknown word gets a status
    "ExtendedTriggerMessage": "requestedMessage*:str connectorId:int",  # here too
    "CertificateSigned": "certificateChain*:str10000",
    "DeleteCertificate": "certificateHashData*:Hash",
    "GetInstalledCertificateIds": "certificateType*"
    ":{CentralSystemRootCertificate|ManufacturerRootCertificate}",
    "InstallCertificate": "certificateType*:{CentralSystemRootCertificate|ManufacturerRootCertificate}"
    " certificate*:str5500",
    "GetLocalListVersion": "",
    "SendLocalList": "listVersion*:int localAuthorizationList:[AuthorizationData]"
    " updateType*:{Differential|Full}",
    "GetDiagnostics": "location*:str retries:int retryInterval:int startTime:time stopTime:time",
    "GetLog": "log*:LogParameters logType*:{DiagnosticsLog|SecurityLog} requestId*:int retries:int"
    " retryInterval:int",
    "SignedUpdateFirmware": "retries:int retryInterval:int requestId*:int firmware*:Firmware",
    "UpdateFirmware": "location*:str retries:int retrieveDate*:time retryInterval:int",
}
"""The messages that are handled here."""

OTHERS = {
    "CancelReservation": "reservationId*:int",
    "ReserveNow": "connectorId*:int expiryDate*:time idTag*:str20 parentIdTag:str20 reservationId*:int",
}

FORMATION, OCCURENCE = "FormationViolation", "OccurenceConstraintViolation"
TYPE, PROPERTY = "TypeConstraintViolation", "PropertyConstraintViolation"


def example(kind: str) -> Any:
    """A right value with every field there is."""
    if kind in OBJECTS:
        return {name: example(inner) for name, inner, _ in fields(OBJECTS[kind])}
    if kind.startswith("["):
        return [example(kind[1:-1])] * 2
    if kind.startswith("{"):
        return kind[1:-1].split("|")[-1]
    return {"int": 1, "decimal": 21.4, "time": "2026-01-01T00:00:00Z"}.get(kind, "text")


def fields(spec: str) -> list[tuple[str, str, bool]]:
    """Name, kind and whether it is required."""
    found = (re.fullmatch(r"(\w+)(\*?):(.+)", word) for word in spec.split())
    return [(m[1], m[3], bool(m[2])) for m in found if m is not None]


WRONG_TYPES: dict[str, tuple[Any, ...]] = {
    "int": ("1", 1.5, True, None, [], {}),
    "decimal": ("1", True, None, [], {}),
    "text": (1, 1.5, False, None, [], {}),
    "array": (1, "text", None, {}),
    "object": (1, "text", None, []),
}


def mistakes(kind: str) -> Iterator[tuple[str, Any, str]]:
    """What can be wrong with a value: a word for it, the wrong value, the code."""
    if kind in OBJECTS:
        yield from in_object(OBJECTS[kind])
        basic = "object"
    elif kind.startswith("["):
        for what, wrong, code in mistakes(kind[1:-1]):
            yield f"[1] {what}", [example(kind[1:-1]), wrong], code
        basic = "array"
    else:
        basic = kind if kind in ("int", "decimal") else "text"
    if kind.startswith("{"):
        for wrong in ("", "Nonsense", kind[1:-1].split("|")[0].upper() + " ", "null"):
            yield f"is {wrong!r}", wrong, PROPERTY
    if kind == "decimal":
        yield "has two digits", 21.45, PROPERTY
    if kind.startswith("str") and kind != "str":
        yield "is too long", "x" * (int(kind[3:]) + 1), PROPERTY
    for wrong in WRONG_TYPES[basic]:
        yield f"is {json.dumps(wrong)}", wrong, TYPE


def in_object(spec: str) -> Iterator[tuple[str, Any, str]]:
    right = {name: example(kind) for name, kind, _ in fields(spec)}
    yield "has one field more", {**right, "more": 1}, FORMATION
    for name, kind, required in fields(spec):
        if required:
            yield f"lacks {name}", {n: v for n, v in right.items() if n != name}, OCCURENCE
            yield (
                f"has {name} in capitals",
                {n.upper() if n == name else n: v for n, v in right.items()},
                FORMATION,
            )
        for what, wrong, code in mistakes(kind):
            yield f"{name} {what}", {**right, name: wrong}, code


def each_of(spec: str, refusal: Callable[[Any], str]) -> None:
    """Every mistake gets its code."""
    wrong = {}
    for what, payload, code in in_object(spec):
        if (told := refusal(payload)) != code:
            wrong[what] = f"{told} instead of {code}"
    assert wrong == {}


@cache
def oracle(action: str) -> Any:
    text = (files("ocpp") / "v16" / "schemas" / f"{action}.json").read_text("utf-8-sig")
    document = json.loads(text)
    if action in ("TriggerMessage", "ExtendedTriggerMessage"):
        document["properties"]["requestedMessage"] = {"type": "string"}
    return jsonschema.Draft4Validator(document)


def fractions(payload: Any) -> bool:
    """It has numbers that plain jsonschema, which divides floats, misjudges."""
    if isinstance(payload, dict):
        return any(map(fractions, payload.values()))
    return any(map(fractions, payload)) if isinstance(payload, list) else isinstance(payload, float)


def without_fractions(payload: Any) -> Any:
    """The same with 21 instead of 21.4."""
    return json.loads(json.dumps(payload).replace("21.4,", "21,").replace("21.4}", "21}"))


@pytest.fixture
def bench() -> Bench:
    """A station in operation."""
    bench = Bench()
    bench.connect()
    return bench


@pytest.mark.parametrize("action", SERVED)
def test_the_station_names_the_mistake(bench: Bench, action: str) -> None:
    def refusal(payload: Any) -> str:
        code = str(bench.call(action, payload))
        frame = bench.csms.frames[-1][1]
        assert frame[4] == {}
        assert 0 < len(frame[3]) <= 255
        plain = without_fractions(payload)
        assert fractions(plain) or not oracle(action).is_valid(plain)
        return code

    each_of(SERVED[action], refusal)


@pytest.mark.parametrize("action", OTHERS)
def test_so_do_the_schemas_of_the_other_profiles(action: str) -> None:
    def refusal(payload: Any) -> str:
        with pytest.raises(exceptions.OCPPError) as refused:
            schema.require_valid(action, payload)
        assert type(refused.value) in schema.KINDS.values()
        return type(refused.value).__name__.removesuffix("Error")

    each_of(OTHERS[action], refusal)


@pytest.mark.parametrize("action", [*SERVED, *OTHERS])
def test_what_is_right_is_taken(action: str) -> None:
    spec = {**SERVED, **OTHERS}[action]
    whole = {name: example(kind) for name, kind, _ in fields(spec)}
    least = {name: example(kind) for name, kind, required in fields(spec) if required}
    longest = {
        name: "x" * int(kind[3:]) if re.fullmatch(r"str\d+", kind) else example(kind)
        for name, kind, _ in fields(spec)
    }
    for payload in (whole, least, longest):
        schema.require_valid(action, payload)
        assert oracle(action).is_valid(without_fractions(payload))


def test_every_action_of_theirs_is_in_the_catalogue() -> None:
    assert {*SERVED, *OTHERS} == schema.CSMS_TO_CP


@pytest.mark.parametrize("limit", [0, 0.1, 8.1, 16.3, 21.4, 31.9, 1e6 + 0.1, 11000])
def test_one_digit_after_the_point_is_one_digit(limit: float) -> None:
    payload = {name: example(kind) for name, kind, _ in fields(SERVED["SetChargingProfile"])}
    payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"] = [
        {"startPeriod": 0, "limit": limit}
    ]
    schema.require_valid("SetChargingProfile", payload)


def test_one_code_for_all_where_the_operator_says_so() -> None:
    bench = Bench(compatibility={"schema_error_code": "formation_violation"})
    bench.connect()
    for _, payload, _ in in_object(SERVED["ChangeAvailability"]):
        assert bench.call("ChangeAvailability", payload) == FORMATION


def test_the_refusal_of_a_secret_does_not_repeat_it(bench: Bench) -> None:
    secret = "correct horse battery staple " * 20
    assert bench.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": secret}) == PROPERTY
    assert "horse" not in str(bench.csms.frames[-1][1])


class TestActions:
    """Checks run in this order: frame, action known, action supported here, payload, rules."""

    @pytest.mark.parametrize("action", ["", "Foo", "reset", "GetBaseReport", "Reset ", "x" * 10_000])
    def test_unknown(self, bench: Bench, action: str) -> None:
        assert bench.call(action, {"nonsense": 1}) == "NotImplemented"

    @pytest.mark.parametrize("action", sorted(schema.CP_TO_CSMS - {"DataTransfer"}))
    def test_of_the_other_direction(self, bench: Bench, action: str) -> None:
        assert bench.call(action, {"nonsense": 1}) == "NotSupported"

    @pytest.mark.parametrize("action", ["SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"])
    def test_of_a_profile_that_is_switched_off(self, action: str) -> None:
        bench = Bench(ocpp={"SupportedFeatureProfiles": "Core"})
        bench.connect()
        assert bench.call(action, {"nonsense": 1}) == "NotSupported"

    @pytest.mark.parametrize(
        ("action", "answer"),
        [
            ("GetLocalListVersion", {"listVersion": -1}),
            ("SendLocalList", {"status": "NotSupported"}),
            ("ReserveNow", {"status": "Rejected"}),
            ("CancelReservation", {"status": "Rejected"}),
        ],
    )
    def test_whose_answer_can_say_it(self, action: str, answer: dict[str, Any]) -> None:
        bench = Bench(ocpp={"SupportedFeatureProfiles": "Core"})
        bench.connect()
        assert bench.call(action, {"nonsense": 1}) == answer

    def test_the_payload_is_looked_at_before_the_rules(self, bench: Bench) -> None:
        assert bench.call("UnlockConnector", {"connectorId": 99, "more": 1}) == FORMATION
