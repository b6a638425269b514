"""Smart charging: SetChargingProfile, ClearChargingProfile and GetCompositeSchedule (OCPP 1.6 §3.13)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol

from ocpp.exceptions import PropertyConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.enums import ChargingProfileStatus, ClearChargingProfileStatus, GetCompositeScheduleStatus

from chargepoint.domain.limits import (
    LONGEST_WINDOW_S,
    PHASES,
    Charging,
    Hardware,
    Maximum,
    Period,
    Profile,
    Schedule,
    Unit,
    composite,
)
from chargepoint.domain.profiles import ProfileBook
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.times import format_time, parse_time

_LONGEST_S = 2**31 - 1
"""Schedules reach no further; larger numbers could not be added to a moment."""

Raw = Mapping[str, Any]
"""An object from the wire, its keys in snake case, already checked against the schema."""


class Settings(Protocol):
    """The configuration keys of the profile (OCPP 1.6 §9.4)."""

    @property
    def max_stack_level(self) -> int:
        """ChargeProfileMaxStackLevel."""

    @property
    def max_periods(self) -> int:
        """ChargingScheduleMaxPeriods."""

    @property
    def max_profiles_installed(self) -> int:
        """MaxChargingProfilesInstalled."""

    @property
    def allowed_units(self) -> Collection[str]:
        """ChargingScheduleAllowedChargingRateUnit as `A` and `W`, the one to report in first."""


class Compatibility(Protocol):
    """Where the text can be read in two ways; what the specification says is named first."""

    @property
    def set_profile_bad_connector(self) -> str:
        """`callerror` or `rejected`: the answer to an unknown connector (errata 3.39)."""

    @property
    def absolute_without_start(self) -> str:
        """`accept` or `reject`: an Absolute schedule without startSchedule starts with charging (§7.13)."""

    @property
    def relative_max_profile(self) -> str:
        """`accept` or `reject`: a Relative ChargePointMaxProfile starts when it is installed."""

    @property
    def composite_start_schedule(self) -> str:
        """`omit` or `include` startSchedule in a composite schedule (errata 3.57)."""

    @property
    def expired_profile(self) -> str:
        """`accept` or `reject` a profile whose validTo is past."""

    @property
    def remote_start_profile_transaction_id(self) -> str:
        """`reject` or `ignore` a transactionId in a profile for a transaction to come (errata 3.41)."""


class Host(Protocol):
    """What smart charging needs of its station."""

    @property
    def count(self) -> int:
        """How many there are; they are numbered from 1."""

    @property
    def book(self) -> ProfileBook:
        """The installed profiles."""

    def utc(self) -> float:
        """The station's time."""

    def hardware(self, connector_id: int) -> Hardware:
        """The installation's maximum at a connector."""

    def charging(self, connector_id: int) -> Transaction | None:
        """The transaction running on a connector."""

    def charging_since(self, connector_id: int) -> float:
        """When that transaction began, in the present reckoning of UTC."""

    def installation(self, connector_id: int) -> Maximum | None:
        """The most for all connectors together by configuration, with this one charging (0: all)."""

    def profiles_changed(self) -> None:
        """Some profile came or went: every connector's limit may be another."""

    def note(self, text: str) -> None:
        """Something a person who looks into this station's log should know."""


class SmartCharging:
    """The handlers of the profile's three messages, and the profile of a RemoteStartTransaction.

    Whether the profile is supported at all is decided before a handler is called (errata 3.39).
    """

    __slots__ = ("_compatibility", "_host", "_settings")

    def __init__(self, host: Host, settings: Settings, compatibility: Compatibility) -> None:
        self._host = host
        self._settings = settings
        self._compatibility = compatibility

    def on_set_charging_profile(self, request: call.SetChargingProfile) -> call_result.SetChargingProfile:
        """Install a profile, or say no (OCPP 1.6 §5.16).

        Raises `PropertyConstraintViolationError` for a connector that does not exist and for a moment that
        is none.
        """
        connector_id = int(request.connector_id)
        if not 0 <= connector_id <= self._host.count:
            if self._compatibility.set_profile_bad_connector == "rejected":
                return self._reject(f"there is no connector {connector_id}")
            raise PropertyConstraintViolationError(f"connectorId {connector_id} does not exist")
        raw: Any = request.cs_charging_profiles
        self._host.book.purge(self._host.utc())
        try:
            profile = self._read(raw, connector_id)
        except ValueError as error:
            raise PropertyConstraintViolationError(str(error)) from None
        if refusal := self._refusal(profile) or self._misplaced(profile, raw.get("transaction_id")):
            return self._reject(f"{profile}: {refusal}")
        if profile.purpose == "TxProfile":
            transaction = self._host.charging(connector_id)
            assert transaction is not None
            profile = replace(profile, transaction_key=transaction.key)
        self._host.book.install(profile)
        self._host.profiles_changed()
        return call_result.SetChargingProfile(ChargingProfileStatus.accepted)

    def on_clear_charging_profile(
        self, request: call.ClearChargingProfile
    ) -> call_result.ClearChargingProfile:
        """Remove what matches; Unknown if nothing does (OCPP 1.6 §5.4, errata 3.26)."""
        purpose: Any = request.charging_profile_purpose
        removed = self._host.book.clear(request.id, request.connector_id, purpose, request.stack_level)
        if not removed:
            return call_result.ClearChargingProfile(ClearChargingProfileStatus.unknown)
        self._host.profiles_changed()
        return call_result.ClearChargingProfile(ClearChargingProfileStatus.accepted)

    def on_get_composite_schedule(
        self, request: call.GetCompositeSchedule
    ) -> call_result.GetCompositeSchedule:
        """Report the limits to expect from now on, over a year at most (OCPP 1.6 §5.7)."""
        connector_id = int(request.connector_id)
        duration_s = min(int(request.duration), LONGEST_WINDOW_S)
        units = self._settings.allowed_units
        unit: Any = request.charging_rate_unit or next(iter(units))
        if not 0 <= connector_id <= self._host.count or unit not in units or duration_s <= 0:
            return call_result.GetCompositeSchedule(GetCompositeScheduleStatus.rejected)
        at = self._host.utc()
        start = format_time(math.floor(at))
        schedule: dict[str, Any] = {
            "duration": duration_s,
            "charging_rate_unit": str(unit),
            "charging_schedule_period": [
                {"start_period": period.start_s, "limit": period.limit, "number_phases": period.phases}
                for period in self._composite(connector_id, unit, at, duration_s)
            ],
        }
        if self._compatibility.composite_start_schedule == "include":
            schedule["start_schedule"] = start
        return call_result.GetCompositeSchedule(
            GetCompositeScheduleStatus.accepted, connector_id, start, schedule
        )

    def check_remote_start_profile(self, raw: Raw) -> Profile | None:
        """The profile that came with a RemoteStartTransaction; None: refuse the whole request (§5.11).

        It is not installed: once the transaction has started, `bind` does that.
        """
        if raw.get("transaction_id") is not None:
            if self._compatibility.remote_start_profile_transaction_id == "reject":
                self._host.note("remote start refused: its profile names a transaction")
                return None
            self._host.note("the transactionId in a remote start's profile is ignored")
        try:
            profile = self._read(raw, connector_id=0)
        except ValueError as error:
            self._host.note(f"remote start refused: {error}")
            return None
        refusal = "not a TxProfile" if profile.purpose != "TxProfile" else self._refusal(profile)
        if refusal:
            self._host.note(f"remote start refused: {profile}: {refusal}")
            return None
        return profile

    def _composite(self, connector_id: int, unit: Unit, at: float, duration_s: int) -> list[Period]:
        charging: dict[int, Charging] = {}
        hardwares: dict[int, Hardware] = {}
        for n in range(1, self._host.count + 1):
            hardwares[n] = self._host.hardware(n)
            if transaction := self._host.charging(n):
                charging[n] = Charging(transaction.key, self._host.charging_since(n))
        return composite(
            self._host.book,
            connector_id,
            charging,
            hardwares,
            unit,
            at,
            duration_s,
            self._host.installation(connector_id),
        )

    def _read(self, raw: Raw, connector_id: int) -> Profile:
        """The profile in our terms. Raises `ValueError` for a moment that is none.

        Fields that mean nothing for its kind or purpose are left out.
        """
        kind, purpose = raw["charging_profile_kind"], raw["charging_profile_purpose"]
        schedule, recurrency = _schedule(raw["charging_schedule"]), raw.get("recurrency_kind")
        ignored: list[str] = []
        if recurrency is not None and kind != "Recurring":
            recurrency = None
            ignored.append("recurrencyKind")
        if schedule.start_at is not None and kind == "Relative":
            schedule = replace(schedule, start_at=None)
            ignored.append("startSchedule")
        if raw.get("transaction_id") is not None and purpose != "TxProfile":
            ignored.append("transactionId")
        profile = Profile(
            id=int(raw["charging_profile_id"]),
            connector_id=connector_id,
            stack_level=int(raw["stack_level"]),
            purpose=purpose,
            kind=kind,
            schedule=schedule,
            installed_at=self._host.utc(),
            recurrency=recurrency,
            valid_from_at=_moment(raw, "valid_from"),
            valid_to_at=_moment(raw, "valid_to"),
        )
        if ignored:
            self._host.note(f"{profile}: {', '.join(ignored)} does not apply to it and is ignored")
        return profile

    def _refusal(self, profile: Profile) -> str | None:
        """Why a profile cannot be accepted wherever it is meant for; None if it can."""
        schedule, settings, compatibility = profile.schedule, self._settings, self._compatibility
        is_maximum = profile.purpose == "ChargePointMaxProfile"
        if not 0 <= profile.stack_level <= settings.max_stack_level:
            return f"stackLevel must be 0 to {settings.max_stack_level}"
        if len(schedule.periods) > settings.max_periods:
            return f"no more than {settings.max_periods} periods are possible"
        if mistake := _mistake(schedule):
            return mistake
        if schedule.unit not in settings.allowed_units:
            return f"limits in {schedule.unit} are not supported"
        if profile.kind == "Recurring" and (profile.recurrency is None or schedule.start_at is None):
            return "Recurring needs recurrencyKind and startSchedule"
        without_start = profile.kind == "Absolute" and schedule.start_at is None
        if without_start and compatibility.absolute_without_start == "reject":
            return "Absolute needs startSchedule"
        if profile.kind == "Relative" and is_maximum and compatibility.relative_max_profile == "reject":
            return "a maximum cannot be Relative"
        if profile.valid_to_at is not None:
            if profile.valid_from_at is not None and profile.valid_to_at <= profile.valid_from_at:
                return "validTo must be after validFrom"
            if profile.valid_to_at <= profile.installed_at and compatibility.expired_profile == "reject":
                return "validTo is past"
        count = self._host.book.count_after(profile)
        if count > max(settings.max_profiles_installed, len(self._host.book)):
            return f"{settings.max_profiles_installed} profiles are installed and it replaces none"
        return None

    def _misplaced(self, profile: Profile, csms_id: int | None) -> str | None:
        """Why a profile cannot be installed at its connector now; None if it can.

        `csms_id`: the transaction it names, if any.
        """
        if profile.purpose == "ChargePointMaxProfile":
            return "a maximum belongs to connector 0" if profile.connector_id else None
        if profile.purpose == "TxDefaultProfile":
            return None
        if profile.connector_id == 0:
            return "a TxProfile belongs to one connector"
        transaction = self._host.charging(profile.connector_id)
        if transaction is None:
            return f"no transaction runs on connector {profile.connector_id}"
        if csms_id is not None and csms_id != transaction.csms_id:
            return f"transaction {csms_id} does not run on connector {profile.connector_id}"
        return None

    def _reject(self, reason: str) -> call_result.SetChargingProfile:
        self._host.note(f"charging profile refused: {reason}")
        return call_result.SetChargingProfile(ChargingProfileStatus.rejected)


def _schedule(raw: Raw) -> Schedule:
    duration, minimum = raw.get("duration"), raw.get("min_charging_rate")
    return Schedule(
        unit=raw["charging_rate_unit"],
        periods=tuple(_period(period) for period in raw["charging_schedule_period"]),
        duration_s=None if duration is None else int(duration),
        start_at=_moment(raw, "start_schedule"),
        minimum=None if minimum is None else _number(minimum),
    )


def _period(raw: Raw) -> Period:
    phases = raw.get("number_phases")
    return Period(int(raw["start_period"]), _number(raw["limit"]), None if phases is None else int(phases))


def _moment(raw: Raw, name: str) -> float | None:
    text = raw.get(name)
    return None if text is None else parse_time(text)


def _number(value: float) -> float:
    """A JSON number; an integer too large for a float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _mistake(schedule: Schedule) -> str | None:
    """What is wrong with a schedule in itself (OCPP 1.6 §7.13, §7.14); None if nothing is."""
    periods = schedule.periods
    if not periods or periods[0].start_s != 0:
        return "the first period must start at 0"
    if any(later.start_s <= earlier.start_s for earlier, later in pairwise(periods)):
        return "periods must start one after the other"
    if any(not 0 <= period.limit < math.inf for period in periods):
        return "a limit must be a number from 0 up"
    if any(period.phases is not None and not 1 <= period.phases <= PHASES for period in periods):
        return "numberPhases must be 1 to 3"
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        return "a duration must be above 0"
    if periods[-1].start_s > _LONGEST_S or (schedule.duration_s or 0) > _LONGEST_S:
        return f"a schedule cannot be longer than {_LONGEST_S} s"
    if schedule.minimum is not None and not 0 <= schedule.minimum < math.inf:
        return "minChargingRate must be a number from 0 up"
    return None
