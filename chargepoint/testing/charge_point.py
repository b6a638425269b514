"""A station under a test's control: what a person could do at it, and what can be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from chargepoint.actions import ActionError
from chargepoint.testing.bench import Bench, Duration, Member, NotSeen, seconds_of
from chargepoint.testing.frames import Frame, Payload, spelled

T = TypeVar("T")

WITHIN = 30.0
"""How long an expectation has, in station seconds."""


class ChargePoint:
    """One station. Every length of time is station time: seconds, or text such as `5m`.

    The verbs are those of the control protocol (docs/control.md), with the same fields and effects; one that
    cannot be done raises `ActionError`. An expectation that is not met raises `NotSeen`, an AssertionError.
    """

    def __init__(self, bench: Bench, member: Member) -> None:
        self._bench = bench
        self._member = member
        self.identity = member.station.identity

    def __repr__(self) -> str:
        return f"<ChargePoint {self.identity}>"

    # --- what somebody does at the station ----------------------------------------------------------

    def perform(self, verb: str, /, **fields: Any) -> dict[str, Any]:
        """Any verb of the control protocol; returns the fields of its reply."""
        __tracebackhide__ = True
        if verb == "shutdown":
            raise ActionError("bad_state", "shutdown: a test's stations end with the test")
        command = {"cmd": verb, **fields}
        try:
            return self._bench.act(lambda: self._member.actions.perform(command))
        except ActionError as error:
            raise ActionError(error.code, f"{self.identity}: {error}") from None

    def plug_in(self, connector: int = 1, ev: str | Mapping[str, Any] | None = None) -> None:
        """A vehicle is plugged in; `ev` names its kind or describes it."""
        given = {} if ev is None else {"ev": ev if isinstance(ev, str) else dict(ev)}
        __tracebackhide__ = True
        self.perform("plug_in", connector=connector, **given)

    def plug_out(self, connector: int = 1) -> None:
        """The plug is pulled."""
        __tracebackhide__ = True
        self.perform("plug_out", connector=connector)

    def ev(
        self,
        connector: int = 1,
        *,
        draws: bool | None = None,
        max_current_a: float | None = None,
        phases: int | None = None,
        max_power_w: float | None = None,
        soc_percent: float | None = None,
        battery_wh: float | None = None,
    ) -> None:
        """The plugged vehicle does something else from now on; with `draws` false it suspends."""
        changes = {
            "draws": draws,
            "max_current_a": max_current_a,
            "phases": phases,
            "max_power_w": max_power_w,
            "soc_percent": soc_percent,
            "battery_wh": battery_wh,
        }
        __tracebackhide__ = True
        self.perform("ev", connector=connector, **_given(changes))

    def swipe(self, id_tag: str, connector: int | None = None) -> None:
        """A card at the reader; without `connector` the station chooses."""
        __tracebackhide__ = True
        self.perform("swipe", id_tag=id_tag, **_given({"connector": connector}))

    def fault(
        self,
        connector: int,
        error_code: str,
        *,
        vendor_error_code: str | None = None,
        info: str | None = None,
        blocking: bool | None = None,
    ) -> None:
        """Something breaks; connector 0 is the station as a whole."""
        details = {"vendor_error_code": vendor_error_code, "info": info, "blocking": blocking}
        __tracebackhide__ = True
        self.perform("fault", connector=connector, error_code=error_code, **_given(details))

    def clear_fault(self, connector: int) -> None:
        """All faults of that connector are gone."""
        __tracebackhide__ = True
        self.perform("clear_fault", connector=connector)

    def emergency_stop(self, pressed: bool = True, connector: int | None = None) -> None:
        """The button is pressed, or released."""
        __tracebackhide__ = True
        self.perform("emergency_stop", pressed=pressed, **_given({"connector": connector}))

    def power(self, on: bool) -> None:
        """The mains go, with a backup for an orderly end, or come back."""
        __tracebackhide__ = True
        self.perform("power", on=on)

    def reboot(self) -> None:
        """Somebody restarts the station."""
        __tracebackhide__ = True
        self.perform("reboot")

    def security_event(self, type: str, tech_info: str | None = None) -> None:
        """Something happened that the security extension reports."""
        __tracebackhide__ = True
        self.perform("security_event", type=type, **_given({"tech_info": tech_info}))

    def lock(self, connector: int, broken: bool) -> None:
        """The lock's actuator breaks, or is repaired."""
        __tracebackhide__ = True
        self.perform("lock", connector=connector, broken=broken)

    def meter(
        self, connector: int = 1, *, energy_wh: float | None = None, voltage_v: float | None = None
    ) -> None:
        """Set the register or the supply."""
        changes = {"energy_wh": energy_wh, "voltage_v": voltage_v}
        __tracebackhide__ = True
        self.perform("meter", connector=connector, **_given(changes))

    def site(
        self,
        *,
        current_a: float | list[float] | None = None,
        power_w: float | None = None,
        silent: bool | None = None,
    ) -> None:
        """What the building draws beside the station, or whether its meter is silent."""
        __tracebackhide__ = True
        self.perform("site", **_given({"current_a": current_a, "power_w": power_w, "silent": silent}))

    def network(self, online: bool) -> None:
        """The link is cut without a close frame and stays cut, or is back."""
        __tracebackhide__ = True
        self.perform("network", online=online)

    def data_transfer(self, vendor_id: str, message_id: str | None = None, data: str | None = None) -> None:
        """The station sends a DataTransfer."""
        __tracebackhide__ = True
        self.perform("data_transfer", vendor_id=vendor_id, **_given({"message_id": message_id, "data": data}))

    def availability(self, connector: int, operative: bool) -> None:
        """An operator's switch on the station itself."""
        __tracebackhide__ = True
        self.perform("availability", connector=connector, operative=operative)

    def config(self, key: str, value: str | int | bool) -> None:
        """Local service access to a configuration key, read-only ones too."""
        __tracebackhide__ = True
        self.perform("config", key=key, value=value)

    def override(self, action: str, status: str | None = None, *, error: str | None = None) -> None:
        """Answer the central system's CALLs of that action so, and do nothing else; without both: no more."""
        __tracebackhide__ = True
        self.perform("override", action=action, status=status, error=error)

    def firmware_outcome(self, *, fail: str | None = None, version: str | None = None) -> None:
        """How the next firmware update ends; without both: well."""
        __tracebackhide__ = True
        self.perform("firmware_outcome", fail=fail, version=version)

    def advance(self, length: Duration) -> None:
        """Let that much time pass: at once on the stepped clock, really on any other."""
        __tracebackhide__ = True
        self._bench.advance(seconds_of(length))

    # --- what can be seen ---------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the verb `status` tells: `online`, `registration`, `now`, `queued`, `connectors`."""
        perform = self._member.actions.perform
        return cast(dict[str, Any], self._bench.background.do(lambda: perform({"cmd": "status"})))

    def connector(self, connector: int = 1) -> dict[str, Any]:
        """What `state` tells of one connector: `status`, `transaction_id`, `offered_a`, `power_w` ..."""
        connectors: list[dict[str, Any]] = self.state()["connectors"]
        if not 1 <= connector <= len(connectors):
            raise ActionError("bad_connector", f"there is no connector {connector}")
        return connectors[connector - 1]

    def status(self, connector: int = 1) -> str:
        """The connector's status now, in OCPP's words."""
        return str(self.connector(connector)["status"])

    def statuses(self, connector: int = 1) -> list[str]:
        """Every status of the connector since the station started, in order."""
        return [
            str(event["status"])
            for event in self.events
            if event["event"] == "status" and event["connector"] == connector
        ]

    @property
    def online(self) -> bool:
        """There is a link."""
        return bool(self.state()["online"])

    @property
    def frames(self) -> list[Frame]:
        """All frames on its link, both ways, oldest first."""
        return list(self._member.record.frames)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything else that happened: the control protocol's events, `at` being the moment."""
        return list(self._member.events)

    def sent(self, action: str, /, **where: Any) -> list[Frame]:
        """The station's CALLs of that action so far whose payload has these fields."""
        return list(self._member.record.calls(True, action, where))

    def received(self, action: str, /, **where: Any) -> list[Frame]:
        """The central system's CALLs of that action so far whose payload has these fields."""
        return list(self._member.record.calls(False, action, where))

    # --- expectations -------------------------------------------------------------------------------

    def expect_status(self, connector: int, status: str, *, within: Duration = WITHIN) -> None:
        """The connector has that status, or has it in time; a passing one is found in `statuses`."""
        __tracebackhide__ = True
        what = f"connector {connector} to be {status}"
        if not self._met(lambda: self.status(connector) == status, within):
            raise self._not_seen(what, within, f"it went through {' -> '.join(self.statuses(connector))}")

    def expect_sent(self, action: str, /, *, within: Duration = WITHIN, **where: Any) -> Frame:
        """The next CALL of that action with these fields that no expectation has met yet.

        One that was sent before counts; each meets one expectation only.
        """
        __tracebackhide__ = True
        return self._expect(True, action, where, within)

    def expect_received(self, action: str, /, *, within: Duration = WITHIN, **where: Any) -> Frame:
        """The same for a CALL of the central system."""
        __tracebackhide__ = True
        return self._expect(False, action, where, within)

    def expect_answer(self, action: str, /, *, within: Duration = WITHIN, **where: Any) -> Payload:
        """What the central system answers to the next such CALL of the station; not a CALLERROR."""
        __tracebackhide__ = True
        call = self._expect(True, action, where, within)
        answer = self._met(lambda: call.answer, within)
        if answer is None:
            raise self._not_seen(f"the answer to {spelled(action, where)}", within, "")
        if answer.kind == "CALLERROR":
            code, text = answer.payload.get("code"), answer.payload.get("description")
            raise NotSeen(f"{self.identity}: {spelled(action, where)} was answered with {code}: {text}")
        return answer.payload

    def expect_never(self, action: str, /, *, during: Duration, **where: Any) -> None:
        """That much time passes without such a CALL of the station."""
        __tracebackhide__ = True
        before = len(self.sent(action, **where))
        if self._met(lambda: len(self.sent(action, **where)) > before, during):
            at = self.sent(action, **where)[before].at
            raise NotSeen(f"{self.identity}: {spelled(action, where)} was sent, at {at:%H:%M:%S}")

    def wait(
        self,
        condition: Callable[[ChargePoint], object],
        *,
        within: Duration = WITHIN,
        what: str = "the condition to be true",
    ) -> None:
        """Let time pass until `condition` is true of this station. It may look, not act; `what` it stands for
        is for the message if it never is."""
        __tracebackhide__ = True
        if not self._met(lambda: condition(self), within):
            raise self._not_seen(what, within, "")

    def _expect(self, from_station: bool, action: str, where: Mapping[str, Any], within: Duration) -> Frame:
        __tracebackhide__ = True
        record = self._member.record

        def found() -> Frame | None:
            calls = record.calls(from_station, action, where)
            return next((frame for frame in calls if not frame.taken), None)

        frame = self._met(found, within)
        if frame is None:
            others = [one for one in record.calls(from_station, action, {}) if not one.taken]
            instead = f"the newest {action} was {others[-1].payload}" if others and where else ""
            who = "to be sent" if from_station else "from the central system"
            raise self._not_seen(f"{spelled(action, where)} {who}", within, instead)
        frame.taken = True
        return frame

    def _met(self, condition: Callable[[], T], within: Duration) -> T:
        __tracebackhide__ = True
        return self._bench.wait(condition, seconds_of(within))

    def _not_seen(self, what: str, within: Duration, instead: str) -> NotSeen:
        state = self.state()
        connectors = ", ".join(f"{one['connector']} {one['status']}" for one in state["connectors"])
        link = "online" if state["online"] else "offline"
        waited = f"{within:g} s" if isinstance(within, int | float) else within
        told = f"; {instead}" if instead else ""
        now = f"now {state['now']}, {link}, registration {state['registration']}, connectors: {connectors}"
        return NotSeen(f"{self.identity}: waited {waited} for {what}{told}\n{now}")


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
