"""Everything that can happen to a station in any order, and what must be true after each of it.

What is true is worked out here from the hardware, the store and the frames, not from the station's own facts.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chargepoint.domain.ending import EMERGENCY_STOP
from chargepoint.ocpp16.times import format_time
from hal.api import EvseInfo, Fault, FaultKind
from tests.unit.ocpp16.bench import Answer
from tests.unit.ocpp16.witness import WitnessBench, WitnessEvse

KINDS = {
    "socket": EvseInfo(),
    "open socket": EvseInfo(lockable=False),
    "tethered": EvseInfo(tethered=True, lockable=False),
    "dc": EvseInfo(
        current="dc",
        max_current_a=200.0,
        max_power_w=50_000.0,
        tethered=True,
        lockable=False,
        start_grace_s=20.0,
    ),
}

GROUPS = {"G1": "GROUP", "G2": "GROUP", "LATE": "GROUP"}
REFUSED = {"BLOCKED": "Blocked", "GONE": "Expired"}
REFUSED_LATER = {"FRAUD": "Invalid", "BUSY": "ConcurrentTx"}
TAGS = st.sampled_from(["ANN", "BOB", *GROUPS, *REFUSED, *REFUSED_LATER])

FAULTS = st.sampled_from(
    [
        Fault(FaultKind.GROUND),
        Fault(FaultKind.OVER_TEMPERATURE),
        Fault(FaultKind.PILOT),
        Fault(FaultKind.LOCK),
        Fault(FaultKind.WEAK_SIGNAL, blocking=False),
        Fault(FaultKind.PILOT, blocking=False),
    ]
)
CONNECTORS = st.integers(0, 2)
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 6.0, 20.0, 31.0, 61.0, 130.0, 900.0])
SETTINGS = st.sampled_from(
    [
        (key, value)
        for key, values in {
            "StopTransactionOnInvalidId": ("true", "false"),
            "StopTransactionOnEVSideDisconnect": ("true", "false"),
            "UnlockConnectorOnEVSideDisconnect": ("true", "false"),
            "LocalPreAuthorize": ("true", "false"),
            "AllowOfflineTxForUnknownId": ("true", "false"),
            "AuthorizeRemoteTxRequests": ("true", "false"),
            "MaxEnergyOnInvalidId": ("0", "300"),
            "ConnectionTimeOut": ("0", "60"),
        }.items()
        for value in values
    ]
)
BEHAVIOURS = st.fixed_dictionaries(
    {},
    optional={
        "free_charging_id_tag": st.just("FREE"),
        "restart_without_replug": st.just(True),
        "fault_stops_transaction_after_s": st.sampled_from([0, None]),
        "resume_tx_after_power_loss": st.just(True),
        "preparing_timeout": st.sampled_from(["finishing", "stay"]),
    },
)


class StationMachine(RuleBasedStateMachine):
    """One station, its users, its operator and its central system."""

    bench: WitnessBench

    @initialize(
        kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3),
        behaviour=BEHAVIOURS,
        lag_s=st.sampled_from([0.0, 0.5, 2.0]),
        meter_lag_s=st.sampled_from([0.0, 5.0]),
    )
    def power_up(self, kinds: list[str], behaviour: dict[str, Any], lag_s: float, meter_lag_s: float) -> None:
        self.bench = WitnessBench([KINDS[kind] for kind in kinds], lag_s, meter_lag_s, behaviour=behaviour)
        self.reservations: dict[int, list[tuple[str, str | None]]] = {}  # id -> for whom, all there ever were
        self.lag_s = lag_s
        self.opens_until = 0.0  # the contactor follows a new start of the software with the same lag
        self.online = False
        self.mute = False
        self.bench.csms.answers["Authorize"] = self._authorize
        self.bench.csms.answers["StartTransaction"] = self._start
        self.go_online()

    def _authorize(self, payload: dict[str, Any]) -> Answer:
        return None if self.mute else {"idTagInfo": _info(payload["idTag"], REFUSED.get(payload["idTag"]))}

    def _start(self, payload: dict[str, Any]) -> Answer:
        self.bench.csms.transactions += 1
        status = REFUSED_LATER.get(payload["idTag"]) or REFUSED.get(payload["idTag"])
        return {"transactionId": self.bench.csms.transactions, "idTagInfo": _info(payload["idTag"], status)}

    def _evse(self, n: int) -> WitnessEvse:
        return self.bench.sockets[n % len(self.bench.sockets)]

    def _id(self, n: int) -> int:
        return 1 + n % len(self.bench.evses)

    # --- people -------------------------------------------------------------------------------------

    @rule(n=CONNECTORS, soc_percent=st.sampled_from([20.0, 79.8, 100.0]))
    def plug_in(self, n: int, soc_percent: float) -> None:
        if self._evse(n).vehicle is None:
            self.bench.plug_in(self._id(n), soc_percent=soc_percent)

    @rule(n=CONNECTORS)
    def plug_out(self, n: int) -> None:
        if self._evse(n).vehicle is not None:
            self.bench.plug_out(self._id(n))

    @rule(tag=TAGS, reader=st.none() | CONNECTORS)
    def swipe(self, tag: str, reader: int | None) -> None:
        self.bench.swipe(tag, None if reader is None else self._id(reader))

    @precondition(lambda self: self._reserved())
    @rule(n=CONNECTORS, member=st.sampled_from([None, "G1", "G2"]), remotely=st.booleans())
    def who_reserved_comes(self, n: int, member: str | None, remotely: bool) -> None:
        reservation = self._reserved()[0]
        connector = reservation["connector"] or self._id(n)
        tag = reservation["id_tag"] if member is None else member
        if remotely and self.online:
            self.call("RemoteStartTransaction", {"idTag": tag, "connectorId": connector})
        else:
            self.bench.swipe(tag, connector)
        self.plug_in(connector - 1, 20.0)

    @rule(n=CONNECTORS, tag=TAGS)
    def charge(self, n: int, tag: str) -> None:
        """The usual: plug in, swipe, wait a little; so that what comes next finds something going on."""
        self.plug_in(n, 20.0)
        self.swipe(tag, n)
        self.wait(20.0)

    @rule(n=CONNECTORS, pressed=st.booleans())
    def press_emergency_stop(self, n: int, pressed: bool) -> None:
        self._evse(n).inject(EMERGENCY_STOP) if pressed else self._evse(n).clear(EMERGENCY_STOP.kind)

    @rule(n=CONNECTORS, draws=st.booleans())
    def vehicle_pauses(self, n: int, draws: bool) -> None:
        if self._evse(n).vehicle is not None:
            self._evse(n).adjust(draws=draws)

    # --- the station --------------------------------------------------------------------------------

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.bench.advance(seconds)

    @rule(n=CONNECTORS, fault=FAULTS)
    def something_breaks(self, n: int, fault: Fault) -> None:
        self._evse(n).inject(fault)

    @rule(n=CONNECTORS)
    def it_is_repaired(self, n: int) -> None:
        self._evse(n).clear()

    @rule(broken=st.booleans())
    def station_breaks(self, broken: bool) -> None:
        with self.bench.cp.turn as turn:
            self.bench.cp.connectors.faults = (Fault(FaultKind.INTERNAL),) if broken else ()
            self.bench.cp.statuses.refresh(0)
            turn.settle_all()

    @rule(n=CONNECTORS, broken=st.booleans())
    def lock_breaks(self, n: int, broken: bool) -> None:
        self._evse(n).break_lock(broken)

    @rule(n=CONNECTORS, voltage_v=st.sampled_from([0.0, 230.0, 230.0]))
    def supply(self, n: int, voltage_v: float) -> None:
        self._evse(n).set_supply(voltage_v)

    @rule()
    def power_cut(self) -> None:
        self.online = False
        self.opens_until = self.bench.clock.now() + self.lag_s
        self.bench.restart()

    # --- the central system -------------------------------------------------------------------------

    @rule()
    def go_offline(self) -> None:
        if self.online:
            self.online = False
            self.bench.disconnect()

    @rule()
    def go_online(self) -> None:
        if not self.online:
            self.online = True
            self.bench.connect()

    @rule(mute=st.booleans())
    def authorize_is_slow(self, mute: bool) -> None:
        self.mute = mute

    def call(self, action: str, payload: dict[str, Any]) -> Any:
        return self.bench.call(action, payload)

    @precondition(lambda self: self.online)
    @rule(tag=TAGS, n=st.none() | CONNECTORS)
    def remote_start(self, tag: str, n: int | None) -> None:
        where = {} if n is None else {"connectorId": self._id(n)}
        self.call("RemoteStartTransaction", {"idTag": tag, **where})

    @precondition(lambda self: self.online)
    @rule(back=st.integers(0, 2))
    def remote_stop(self, back: int) -> None:
        self.call("RemoteStopTransaction", {"transactionId": self.bench.csms.transactions - back})

    @precondition(lambda self: self.online)
    @rule(n=st.integers(0, 3), operative=st.booleans())
    def change_availability(self, n: int, operative: bool) -> None:
        connector = n if n <= len(self.bench.evses) else 1
        kind = "Operative" if operative else "Inoperative"
        self.call("ChangeAvailability", {"connectorId": connector, "type": kind})

    @precondition(lambda self: self.online)
    @rule(n=CONNECTORS)
    def unlock(self, n: int) -> None:
        self.call("UnlockConnector", {"connectorId": self._id(n)})

    @precondition(lambda self: self.online)
    @rule(n=st.integers(0, 3), limit=st.sampled_from([0.0, 5.0, 10.0, 16.0]))
    def limit(self, n: int, limit: float) -> None:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        profile = {
            "chargingProfileId": n,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile" if n else "ChargePointMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }
        connector = min(n, len(self.bench.evses))
        self.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": profile})

    @precondition(lambda self: self.online)
    @rule(n=st.integers(0, 3))
    def lift_limit(self, n: int) -> None:
        self.call("ClearChargingProfile", {"id": n})

    @precondition(lambda self: self.online)
    @rule(
        reservation=st.integers(0, 3),
        n=st.integers(0, 3),
        tag=TAGS,
        parent=st.sampled_from([None, "GROUP"]),
        seconds=st.sampled_from([1.0, 30.0, 100.0, 2000.0]),
    )
    def reserve(self, reservation: int, n: int, tag: str, parent: str | None, seconds: float) -> None:
        payload = {
            "connectorId": min(n, len(self.bench.evses)),
            "expiryDate": format_time(self.bench.cp.time.utc() + seconds),
            "idTag": tag,
            "reservationId": reservation,
        }
        if parent is not None:
            payload["parentIdTag"] = parent
        if (self.call("ReserveNow", payload) or {}).get("status") == "Accepted":
            self.reservations.setdefault(reservation, []).append((tag, parent))

    @precondition(lambda self: self.online)
    @rule(reservation=st.integers(0, 3))
    def cancel_reservation(self, reservation: int) -> None:
        self.call("CancelReservation", {"reservationId": reservation})

    @precondition(lambda self: self.online)
    @rule(setting=SETTINGS)
    def change_configuration(self, setting: tuple[str, str]) -> None:
        self.call("ChangeConfiguration", {"key": setting[0], "value": setting[1]})

    # --- what must be true --------------------------------------------------------------------------

    @invariant()
    def nothing_went_wrong(self) -> None:
        bench = self.bench
        assert bench.errors == []
        complaints = [event["message"] for event in bench.events if event["event"] == "error"]
        ours = ("schema", "not sent", "although")
        assert not [text for text in complaints if any(word in text for word in ours)]

    @invariant()
    def statuses_follow_legally(self) -> None:
        assert self.bench.illegal_statuses() == []

    @invariant()
    def no_witness_complains(self) -> None:
        assert self.bench.violations == []

    @invariant()
    def energy_is_accounted_for(self) -> None:
        """Hardware that lags may still be closed for what has been withdrawn, or is ending."""
        for n, evse in enumerate(self.bench.sockets, 1):
            running = self.bench.witness.running(n)
            assert len(running) <= 1
            assert evse.wished.zero or running
            assert evse.wished.zero or not any(fault.blocking for fault in evse.faults)
            if evse.hardware.closed:
                assert self.bench.witness.open(n) or self.bench.clock.now() <= self.opens_until
                assert self.lag_s or not evse.wished.zero

    @invariant()
    def each_transaction_starts_and_stops_once(self) -> None:
        for key, transaction in self.bench.witness.transactions.items():
            records = self.bench.witness.records[key]
            assert len(records["start"]) == 1
            assert len(records["stop"]) == (transaction["stopped_at"] is not None)

    @invariant()
    def plug_stays_while_charging(self) -> None:
        for n, evse in enumerate(self.bench.sockets, 1):
            if self.bench.witness.open(n) and evse.info.lockable:
                assert evse.hardware.locked

    @invariant()
    def status_means_what_it_says(self) -> None:
        for n, evse in enumerate(self.bench.sockets, 1):
            status = self.bench.local_status(n)
            running = self.bench.witness.running(n)
            if len(running) != len(self.bench.witness.open(n)):
                continue  # it is ending
            broken = any(f.blocking and f.kind is not FaultKind.PILOT for f in evse.faults)
            if broken:
                assert status == "Faulted"
            elif any(f.blocking for f in evse.faults):
                reserved = {"Reserved"} if self._reserved() else set()
                others = {"Faulted", "SuspendedEVSE", "Preparing", "Finishing", "Unavailable"}
                assert status in others | reserved
            elif not running:
                reserved = {"Reserved"} if self._reserved() else set()
                assert status in {"Available", "Preparing", "Finishing", "Unavailable"} | reserved
                assert status != "Available" or not evse.plugged
            elif evse.wished.zero:
                connected = evse.vehicle is not None
                assert status in ({"SuspendedEVSE"} if connected else {"SuspendedEVSE", "SuspendedEV"})
            elif evse.closed:
                assert status == "Charging"
            else:
                assert status in {"Preparing", "SuspendedEV", "SuspendedEVSE"}

    def _reserved(self) -> list[dict[str, Any]]:
        return [document for _, document in self.bench.witness.items("reservation")]

    @invariant()
    def reservations_are_kept(self) -> None:
        """What is reserved is charged by nobody yet; who used one up was entitled to it."""
        now = self.bench.cp.time.utc()
        for reservation in self._reserved():
            assert reservation["expires_at"] > now
            assert not self.bench.witness.open(reservation["connector"])
            if reservation["connector"]:
                assert self.bench.local_status(reservation["connector"]) in {"Reserved", "Preparing"}
        for transaction in self.bench.witness.transactions.values():
            if transaction["reservation_id"] is not None:
                tag = transaction["id_tag"]
                group = GROUPS.get(tag, tag)
                users = self.reservations[transaction["reservation_id"]]
                assert any(tag == user or group == parent for user, parent in users)

    @invariant()
    def clock_runs_when_nothing_is_asked(self) -> None:
        if self.bench.cp.session.outstanding is None:
            assert not self.bench.clock.held

    @invariant()
    def looking_again_changes_nothing(self) -> None:
        before = len(self.bench.events), len(self.bench.csms.frames)
        with self.bench.cp.turn as turn:
            turn.settle_all()
        assert (len(self.bench.events), len(self.bench.csms.frames)) == before

    @staticmethod
    def forget_all() -> None:
        """Leave no station behind that was stopped half way."""
        for bench in WitnessBench.made:
            bench.cp.close()
        WitnessBench.made.clear()

    def teardown(self) -> None:
        """When everybody has gone and everything is in order, everything is free."""
        if not hasattr(self, "bench"):
            return
        bench = self.bench
        self.mute = False
        self.station_breaks(False)
        for n, evse in enumerate(bench.sockets):
            evse.break_lock(False)
            evse.clear()
            evse.set_supply(230.0)
            self.plug_out(n)
        self.go_online()
        bench.advance(200.0)
        for n in range(1, len(bench.evses) + 1):
            self.call("UnlockConnector", {"connectorId": n})
        for transaction in range(bench.csms.transactions + 1):
            self.call("RemoteStopTransaction", {"transactionId": transaction})
        self.call("ChangeAvailability", {"connectorId": 0, "type": "Operative"})
        for reservation in range(4):
            self.cancel_reservation(reservation)
        self.call("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "60"})
        bench.advance(1000.0)
        self.nothing_went_wrong()
        self.statuses_follow_legally()
        self.no_witness_complains()
        self.each_transaction_starts_and_stops_once()
        assert {bench.local_status(n) for n in range(1, len(bench.evses) + 1)} == {"Available"}
        assert not any(evse.hardware.locked or evse.hardware.closed for evse in bench.sockets)
        assert all(t["stopped_at"] is not None for t in bench.witness.transactions.values())
        assert all(t["delivered_at"] is not None for t in bench.witness.transactions.values())
        assert not bench.clock.held
        bench.cp.close()
        bench.made.remove(bench)


def _info(id_tag: str, status: str | None) -> dict[str, Any]:
    info = {"status": status or "Accepted"}
    return info | {"parentIdTag": GROUPS[id_tag]} if id_tag in GROUPS else info
