"""The configuration of a station: the values its keys have now, and since the factory (OCPP 1.6 §9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from chargepoint.domain.metering import ENERGY, Measurand
from chargepoint.domain.ports import Store
from chargepoint.ocpp16.keys import FEATURE_PROFILES, KEYS, UNITS, Hardware, Key, Value, render
from hal.api import EvseInfo

T = TypeVar("T")

KIND = "configuration"
"""Under this kind the store keeps changed values, one document per key."""


class FactoryConfiguration:
    """The values a station leaves the factory with, shared by all stations made alike.

    `values` are those of the configuration file, keys in any case; the rest are defaults. Where the hardware
    says otherwise it wins, and `warnings` tells. The station says it does not know the `missing` keys, whose
    values are in force all the same. Raises `ValueError` for values that `problems` would name.
    """

    __slots__ = ("_names", "fixed", "hardware", "keys", "missing", "typed", "warnings")

    def __init__(
        self,
        values: Mapping[str, str],
        infos: Sequence[EvseInfo],
        keys: Mapping[str, Key] = KEYS,
        missing: Collection[str] = (),
    ) -> None:
        self.keys = keys
        self.missing = frozenset(name.lower() for name in missing)
        self.hardware = Hardware.of(infos)
        self.fixed = self.hardware.fixed()
        self.warnings: tuple[str, ...] = ()
        self._names = {name.lower(): key for name, key in keys.items()}
        self.typed: dict[str, Value] = {}
        found = self._fill(values)
        if found:
            raise ValueError("; ".join(f"{name}: {problem}" for name, problem in found.items()))

    def find(self, name: str) -> Key | None:
        """The key of that name in any case, whatever the profiles in use."""
        return self._names.get(name.lower())

    def _fill(self, values: Mapping[str, str]) -> dict[str, str]:
        """Put every key's value in force and return the problems with `values`."""
        found: dict[str, str] = {}
        given: dict[str, tuple[str, str]] = {}
        for name, text in values.items():
            key = self.find(name)
            if key is None:
                found[name] = "no such key"
            elif key.name in given:
                found[name] = f"given twice, the other time as {given[key.name][0]}"
            else:
                given[key.name] = (name, text)
        derived = self.hardware.values()
        for key in lengths_first(self.keys.values()):
            default = derived.get(key.name, key.default)
            self.typed[key.name] = None if default is None else key.parse(default, self.hardware)
            if key.name in given:
                name, text = given[key.name]
                try:
                    self._set(key, self.parse(key, text, self.typed))
                except ValueError as error:
                    found[name] = str(error)
        return found

    def _set(self, key: Key, value: Value) -> None:
        if key.name not in self.fixed:
            self.typed[key.name] = value
        elif value != self.typed[key.name]:
            kept = render(self.typed[key.name])
            self.warnings += (f"{key.name} is {kept}: the hardware decides, not the configuration",)

    def parse(self, key: Key, text: str, typed: Mapping[str, Value]) -> Value:
        """The value of a key, with the length of lists checked against `typed`; raises `ValueError`."""
        value = key.parse(text, self.hardware)
        if isinstance(value, tuple):
            limit = typed.get(f"{key.name}MaxLength")
            if isinstance(limit, int) and len(value) > limit:
                raise ValueError(f"has {len(value)} items, {limit} are allowed")
        return value


def lengths_first(keys: Iterable[Key]) -> list[Key]:
    """Numbers before lists, because some numbers are the allowed lengths of lists."""
    return sorted(keys, key=lambda key: key.kind != "int")


def problems(values: Mapping[str, str], infos: Sequence[EvseInfo] = (EvseInfo(),)) -> dict[str, str]:
    """What is wrong with which factory values, in words, under the names they came with; {} if nothing is."""
    return FactoryConfiguration({}, infos)._fill(values)


class Keeper(Protocol):
    """Who keeps keys that have rules of their own."""

    def text(self, name: str) -> str | None:
        """The value to report; None: unset, or never shown."""

    def change(self, name: str, text: str) -> bool:
        """Change one for the central system; False: refused."""

    def set_service(self, name: str, text: str) -> str | None:
        """Change one for local service; what is wrong, if so."""


KEPT = frozenset({"AuthorizationKey", "SecurityProfile"})
"""The keys that a `Keeper` keeps (security whitepaper A01, A05)."""


class _Setting(Generic[T]):
    """A key's value as a read-only attribute of a `Configuration`."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        assert key in KEYS, key
        self._key = key

    @overload
    def __get__(self, station: None, owner: type) -> _Setting[T]: ...

    @overload
    def __get__(self, station: Configuration, owner: type) -> T: ...

    def __get__(self, station: Configuration | None, owner: type) -> _Setting[T] | T:
        if station is None:
            return self
        changed: Mapping[str, Any] | None = station._changed  # as `value` does, in a third of the time
        typed: Mapping[str, Any] = station._factory.typed
        value: T = (typed if changed is None or self._key not in changed else changed)[self._key]
        return value


class Configuration:
    """The configuration of one station: the factory's values, and what was changed since.

    Changes are put into the store and are in force at once; the caller commits. `on_change` is called with
    the key's name after each change of a value. `reload` reads the store again after a rollback. Names that
    come from outside match in any case. `keeper`, once there is one, keeps the keys of `KEPT`.
    """

    __slots__ = ("_changed", "_factory", "_store", "keeper", "on_change")

    connection_timeout_s = _Setting[int]("ConnectionTimeOut")
    stop_on_ev_side_disconnect = _Setting[bool]("StopTransactionOnEVSideDisconnect")
    unlock_on_ev_side_disconnect = _Setting[bool]("UnlockConnectorOnEVSideDisconnect")
    stop_on_invalid_id = _Setting[bool]("StopTransactionOnInvalidId")
    max_energy_on_invalid_id_wh = _Setting[int]("MaxEnergyOnInvalidId")
    authorize_remote = _Setting[bool]("AuthorizeRemoteTxRequests")
    sample_interval_s = _Setting[int]("MeterValueSampleInterval")
    aligned_interval_s = _Setting[int]("ClockAlignedDataInterval")
    stop_max_meter_values = _Setting[int]("StopTransactionMaxMeterValues")
    attempts = _Setting[int]("TransactionMessageAttempts")
    retry_interval_s = _Setting[int]("TransactionMessageRetryInterval")
    message_timeout_s = _Setting[int]("MessageTimeout")
    heartbeat_interval_s = _Setting[int]("HeartbeatInterval")
    ping_interval_s = _Setting[int]("WebSocketPingInterval")
    minimum_status_duration_s = _Setting[int]("MinimumStatusDuration")
    reset_retries = _Setting[int]("ResetRetries")
    security_events_disabled = _Setting[bool]("DisableSecurityEventNotifications")
    cache_enabled = _Setting[bool]("AuthorizationCacheEnabled")
    pre_authorize = _Setting[bool]("LocalPreAuthorize")
    authorize_offline = _Setting[bool]("LocalAuthorizeOffline")
    allow_unknown_offline = _Setting[bool]("AllowOfflineTxForUnknownId")
    reserve_connector_zero = _Setting[bool]("ReserveConnectorZeroSupported")
    max_stack_level = _Setting[int]("ChargeProfileMaxStackLevel")
    max_periods = _Setting[int]("ChargingScheduleMaxPeriods")
    max_profiles_installed = _Setting[int]("MaxChargingProfilesInstalled")
    max_keys = _Setting[int]("GetConfigurationMaxKeys")

    def __init__(self, store: Store, factory: FactoryConfiguration) -> None:
        self.on_change: Callable[[str], None] | None = None
        self.keeper: Keeper | None = None
        self._store = store
        self._factory = factory
        # Only what differs from the factory: most of thousands of stations then need no dictionary.
        self._changed: dict[str, Value] | None = None
        self.reload()

    def reload(self) -> None:
        """Read the changed values from the store; those the hardware no longer allows are passed over."""
        self._changed = None
        stored = {name: document["value"] for name, document in self._store.items(KIND)}
        for key in lengths_first(self._factory.keys[name] for name in stored if name in self._factory.keys):
            try:
                self._keep(key, self._parse(key, stored[key.name]))
            except ValueError:
                continue

    def value(self, name: str) -> Value:
        """The value in force; for this and the next five the key is spelled as in the table.

        A profile that is not in use does not matter here.
        """
        if self._changed is not None and name in self._changed:
            return self._changed[name]
        return self._factory.typed[name]

    def integer(self, name: str) -> int:
        """The value of a key that holds a number."""
        return cast(int, self.value(name))

    def boolean(self, name: str) -> bool:
        """The value of a key that is true or false."""
        return cast(bool, self.value(name))

    def words(self, name: str) -> tuple[str, ...]:
        """The value of a key that holds a list of words."""
        return cast(tuple[str, ...], self.value(name))

    def text(self, name: str) -> str | None:
        """The value of a key as it would be reported; None: unset, or kept and never shown."""
        if self.keeper is not None and name in KEPT:
            return self.keeper.text(name)
        value = self.value(name)
        return None if value is None else render(value)

    def measurands(self, name: str) -> tuple[Measurand, ...]:
        """The value of a measurand list; an empty MeterValuesSampledData means the energy register."""
        found = cast(tuple[Measurand, ...], self.value(name))
        return found or ((ENERGY,) if name == "MeterValuesSampledData" else ())

    @property
    def allowed_units(self) -> tuple[str, ...]:
        """The units, A and W, that limits may come in, in the key's order (errata 3.88)."""
        return tuple(UNITS[word] for word in self.words("ChargingScheduleAllowedChargingRateUnit"))

    def supports(self, profile: str) -> bool:
        """True if the feature profile is in use; what is no feature profile always is."""
        return profile not in FEATURE_PROFILES or profile in self.words("SupportedFeatureProfiles")

    def listed(self) -> list[Key]:
        """Every key of the profiles in use, in the table's order; secrets are left out."""
        return [key for key in self._factory.keys.values() if key.access != "W" and self._has(key)]

    def find(self, name: str) -> Key | None:
        """The key of that name in any case; None if there is none or its profile is not in use."""
        key = self._factory.find(name)
        return key if key is not None and self._has(key) else None

    def _has(self, key: Key) -> bool:
        return self.supports(key.profile) and key.name.lower() not in self._factory.missing

    def get(self, name: str) -> str | None:
        """The value as it may be shown, under a name in any case; None: unset, secret or unknown."""
        key = self.find(name)
        return None if key is None or key.access == "W" else self.text(key.name)

    def readonly(self, key: Key) -> bool:
        """True if only the hardware or local service can change it."""
        return key.access == "R" or key.name in self._factory.fixed

    def change(self, name: str, value: str) -> str:
        """Change a value for the central system: Accepted, RebootRequired, Rejected or NotSupported.

        OCPP 1.6 §5.3, §7.22. Whatever is not accepted leaves everything as it was.
        """
        key = self.find(name)
        if key is None:
            return "NotSupported"
        if self.readonly(key):
            return "Rejected"
        if self.keeper is not None and key.name in KEPT:
            return "Accepted" if self.keeper.change(key.name, value) else "Rejected"
        if self._store_value(key, value) is not None:
            return "Rejected"
        return "RebootRequired" if key.reboot else "Accepted"

    def set_service(self, name: str, value: str) -> str | None:
        """Change a value for local service or the station itself, read-only keys too.

        None if that was possible, otherwise what is wrong, in words.
        """
        key = self.find(name)
        if key is None:
            return f"there is no key {name}"
        if self.keeper is not None and key.name in KEPT:
            return self.keeper.set_service(key.name, value)
        return self._store_value(key, value)

    def _store_value(self, key: Key, text: str) -> str | None:
        """Put a value in force and into the store; if it is not allowed, say why."""
        try:
            value = self._parse(key, text)
        except ValueError as error:
            return str(error)
        before = self.value(key.name)
        if key.name in self._factory.fixed:
            return None if value == before else f"{key.name} is decided by the hardware"
        self._store.put(KIND, key.name, {"value": render(value)})
        self._keep(key, value)
        if value != before and self.on_change is not None:
            self.on_change(key.name)
        return None

    def _parse(self, key: Key, text: str) -> Value:
        if key.kind != "csl":
            return self._factory.parse(key, text, {})
        limit = f"{key.name}MaxLength"
        typed = {limit: self.value(limit)} if limit in self._factory.keys else {}
        return self._factory.parse(key, text, typed)

    def _keep(self, key: Key, value: Value) -> None:
        if key.name in self._factory.fixed:
            return
        changed = dict(self._changed or ())
        changed.pop(key.name, None)
        if value != self._factory.typed[key.name]:
            changed[key.name] = value
        self._changed = changed or None
