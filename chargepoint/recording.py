"""Records one station's frames, events and hardware, and what was done to it, in a trace file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from typing import Any

from chargepoint.actions import ActionError, Reply
from chargepoint.station import Station
from chargepoint.trace import Trace
from hal.api import DeviceError, Evse, EvseListener

RECORDING = 1
"""The version of the event records in a trace (docs/replay.md)."""

NOT_DONE_TO_A_STATION = frozenset({"status", "advance", "shutdown"})
"""Verbs that change nothing at the station itself: no record."""

Perform = Callable[[Mapping[str, Any]], "Reply | Awaitable[Reply]"]


class Recording:
    """Writes all that happens at `station` to `trace`, from now on.

    The first record describes the station. Pilot, plug, contactor, lock and faults of a connector are
    recorded as they change and before what the station makes of it, with the meter beside them.
    """

    __slots__ = ("_ears", "_station", "_trace")

    def __init__(self, station: Station, trace: Trace) -> None:
        self._station = station
        self._trace = trace
        self._ears = [_Ear(self, n, evse) for n, evse in enumerate(station.evses, 1)]
        trace.event(station.utc(), "recording", **_description(station))
        station.watch(self._heard)
        station.recorder = self
        self.software_started()

    def performing(self, perform: Perform) -> Perform:
        """`perform` with a record of each verb before it is done, and one more if it was refused."""

        def recorded(command: Mapping[str, Any]) -> Reply | Awaitable[Reply]:
            if command.get("cmd") in NOT_DONE_TO_A_STATION:
                return perform(command)
            fields = {name: value for name, value in command.items() if name not in ("id", "cp")}
            self.tell("verb", fields)
            try:
                return perform(command)
            except ActionError as error:
                self.tell("refused", {"cmd": command.get("cmd"), "error": error.code})
                raise

        return recorded

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write one event record of this moment."""
        self._trace.event(self._station.utc(), event, **fields)

    def close(self) -> None:
        """Stop listening; the trace stays open."""
        self._station.unwatch(self._heard)
        self._station.recorder = None
        for ear in self._ears:
            ear.let_go()

    def _heard(self, event: str, fields: dict[str, Any]) -> None:
        if event == "ocpp":
            self._trace.frame(self._station.utc(), fields["dir"] == "tx", fields["data"])
            return
        self.tell(event, fields)
        if event == "transaction":
            self._ears[fields["connector"] - 1].meter()

    # --- station.Recorder ---------------------------------------------------------------------------

    def software_started(self) -> None:
        """It took the place of the hardware's listener."""
        for ear in self._ears:
            ear.take_place()

    def card_shown(self, id_tag: str, connector_id: int | None) -> None:
        """Written down before anybody decides about it."""
        self.tell("card", {"id_tag": id_tag, "connector": connector_id})


class _Ear:
    """Stands before the listener of one connector and writes down what changed."""

    __slots__ = ("_evse", "_inner", "_known", "_n", "_read", "_recording")

    def __init__(self, recording: Recording, n: int, evse: Evse) -> None:
        self._recording = recording
        self._n = n
        self._evse = evse
        self._inner: EvseListener | None = None
        self._known = _state(evse)
        self._read: dict[str, Any] = {}

    def take_place(self) -> None:
        if self._evse.listener is not self and self._evse.listener is not None:
            self._inner, self._evse.listener = self._evse.listener, self

    def let_go(self) -> None:
        if self._evse.listener is self:
            self._evse.listener = self._inner

    def evse_changed(self) -> None:
        before, self._known = self._known, _state(self._evse)
        for event, fields in self._known.items():
            if before[event] != fields:
                self._recording.tell(event, {"connector": self._n, **fields})
        if before != self._known:
            self.meter()
        if self._inner is not None:
            self._inner.evse_changed()

    def meter(self) -> None:
        try:
            reading = self._evse.reading()
        except DeviceError:
            return
        soc = {} if reading.soc_percent is None else {"soc_percent": round(reading.soc_percent, 3)}
        fields = {
            "connector": self._n,
            "energy_wh": round(reading.energy_wh, 3),
            "power_w": round(reading.power_w, 1),
            "current_a": [round(current, 3) for current in reading.current_a],
            **soc,
        }
        if fields != self._read:
            self._read = fields
            self._recording.tell("meter", fields)


def _state(evse: Evse) -> dict[str, dict[str, Any]]:
    """What can change, by the name of its event."""
    return {
        "plug": {"plugged": evse.plugged},
        "pilot": {"state": evse.pilot.value},
        "contactor": {"closed": evse.closed},
        "lock": {"locked": evse.locked},
        "faults": {
            "faults": [
                {"kind": f.kind.value, "blocking": f.blocking, "info": f.info, "vendor_code": f.vendor_code}
                for f in evse.faults
            ]
        },
    }


def _description(station: Station) -> dict[str, Any]:
    """What somebody needs to set up such a station again."""
    config = station.type.config
    return {
        "version": RECORDING,
        "software": _software(),
        "connectors": [
            {
                "current": connector.current,
                "cable": connector.cable,
                "max_current_a": connector.max_current_a,
                "max_power_w": connector.max_power_w,
                "phases": connector.phases,
            }
            for connector in config.connectors
        ],
        "ocpp": {
            name: value for name, value in config.ocpp.items() if name.strip().lower() != "authorizationkey"
        },
    }


def _software() -> str:
    try:
        return f"chargepoint {metadata.version('chargepoint')}"
    except metadata.PackageNotFoundError:
        return "chargepoint"
