"""The faults of a controller and a meter behind `PolledEvse`, over emulated devices and real bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from hal.api import NOTHING, EvseInfo, FaultKind, Limit, MeterUnavailable, PilotState
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.simulated.vehicle import load_vehicle
from tests.contract.hal.emulated import Emulated

pytestmark = pytest.mark.emulated

INFO = EvseInfo(phases=3, max_current_a=32.0)
Opens = Callable[..., Emulated]


@pytest.fixture
def opens() -> Iterator[Opens]:
    """Opens rigs and closes them afterwards."""
    rigs: list[Emulated] = []

    def open_rig(make: Callable[[Outlet], EvseWbEmulator | PhoenixEmulator], **settings: Any) -> Emulated:
        driver: Literal["evse-wb", "phoenix"] = "evse-wb"
        rig = Emulated(driver if not _is_phoenix(make) else "phoenix", INFO, "serial", make, **settings)
        rigs.append(rig)
        return rig

    yield open_rig
    for rig in rigs:
        rig.close()


def _is_phoenix(make: object) -> bool:
    return make is PhoenixEmulator or getattr(make, "phoenix", False)


both = pytest.mark.parametrize("make", [EvseWbEmulator, PhoenixEmulator], ids=["evse-wb", "phoenix"])


def board(rig: Emulated) -> EvseWbEmulator:
    assert isinstance(rig.device, EvseWbEmulator)
    return rig.device


def kinds(rig: Emulated) -> set[FaultKind]:
    return {fault.kind for fault in rig.evse.faults}


class Told:
    """Which faults a connector ever reported: that of a contactor is another one once it is told to open."""

    def __init__(self, rig: Emulated) -> None:
        self.kinds: set[FaultKind] = set()
        self._rig = rig
        rig.evse.listener = self

    def evse_changed(self) -> None:
        self.kinds |= kinds(self._rig)


def charge(rig: Emulated, current_a: float = 10.0) -> None:
    rig.outlet.evse.plug_in(load_vehicle("compact"))
    rig.evse.permit(Limit(current_a))
    rig.advance(12.0)
    assert rig.evse.closed


def test_the_current_it_booted_with_is_taken_away_before_anything_else(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    assert board(rig).amps == 0
    assert board(rig).eeprom_writes == []


def test_the_current_after_boot_is_written_once_and_only_if_asked_for(opens: Opens) -> None:
    rig = opens(EvseWbEmulator, boot_current_a=0)
    rig.advance(20.0)
    assert board(rig).eeprom_writes == [2000]


@pytest.mark.parametrize(("bit", "says"), [(13, "after each charge"), (14, "keeps it off")])
def test_a_board_that_its_settings_switch_off_says_so(opens: Opens, bit: int, says: str) -> None:
    rig = opens(lambda outlet: EvseWbEmulator(outlet, config=1 << bit))
    (fault,) = rig.evse.faults
    assert (fault.kind, fault.blocking) == (FaultKind.INTERNAL, False)
    assert f"bit {bit} of its register 2005" in fault.info
    assert says in fault.info
    assert board(rig).eeprom_writes == [], "that is the installer's decision"


@pytest.mark.parametrize(("hundredths", "amps"), [(False, 10), (True, 1070)])
def test_the_resolution_is_the_boards(opens: Opens, hundredths: bool, amps: int) -> None:
    rig = opens(lambda outlet: EvseWbEmulator(outlet, hundredths=hundredths))
    charge(rig, 10.7)
    assert board(rig).amps == amps


@both
def test_a_limit_that_is_not_taken_is_a_fault(opens: Opens, make: type[EvseWbEmulator]) -> None:
    rig = opens(make)
    charge(rig)
    rig.device.deaf = True
    rig.evse.permit(Limit(7.0))
    rig.wait_for(lambda: bool(rig.evse.faults), 250.0)
    assert [fault.vendor_code for fault in rig.evse.faults] == ["LimitIgnored"]
    rig.device.deaf = False
    rig.soon()
    assert rig.device.offered_a == 0, "a blocking fault stops"


def test_a_limit_that_is_never_taken_is_told_once(opens: Opens, caplog: pytest.LogCaptureFixture) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.device.deaf = True
    rig.evse.permit(Limit(7.0))
    rig.wait_for(lambda: bool(rig.evse.faults), 250.0)
    for _ in range(5):
        rig.soon()
    told = [line.rpartition(": ")[2] for line in caplog.messages]
    assert told == ["wrote [7] at 1000, reads back [10]", "wrote [0] at 1000, reads back [10]"]


@both
def test_a_restart_of_the_controller_is_corrected(opens: Opens, make: type[EvseWbEmulator]) -> None:
    rig = opens(make)
    charge(rig)
    rig.device.reboot()
    rig.wait_for(lambda: rig.device.offered_a == 10, 250.0)
    assert rig.evse.faults == ()


@both
def test_somebody_at_the_button_is_overruled_and_in_the_end_reported(
    opens: Opens, make: type[EvseWbEmulator]
) -> None:
    rig = opens(make)
    charge(rig)
    for _ in range(3):
        rig.device.turn(6.0)
        rig.advance(8.0)
        rig.wait_for(lambda: rig.device.offered_a == 10, 250.0)
    (fault,) = rig.evse.faults
    assert (fault.vendor_code, fault.blocking) == ("LimitChanged", False)


def test_raises_keep_5_s_between_them_and_reductions_do_not(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    for lower in (9.0, 8.0, 7.0):
        lowered_after = rig.clock.now()
        rig.evse.permit(Limit(lower))
        rig.soon()
        assert board(rig).amps == lower
    rig.evse.permit(Limit(16.0))
    while board(rig).amps != 16:
        assert rig.clock.now() < lowered_after + 60.0
        rig.advance(0.5)
    assert rig.clock.now() >= lowered_after + 5.0


@pytest.mark.parametrize(("cable_a", "offered_a"), [(13.0, 13), (0.0, 13), (20.0, 20), (63.0, 32)])
def test_a_cable_limits_what_is_offered(opens: Opens, cable_a: float, offered_a: int) -> None:
    rig = opens(EvseWbEmulator)
    rig.outlet.cable_max_a = cable_a
    rig.outlet.evse.plug_in(load_vehicle("supermini"))
    rig.evse.permit(Limit(32.0))
    rig.advance(12.0)
    assert board(rig).amps == offered_a


def test_a_diode_or_residual_current_blocks_until_it_is_gone(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.outlet.failed = True
    rig.soon()
    assert kinds(rig) == {FaultKind.PILOT}
    assert (rig.evse.pilot, rig.evse.plugged, rig.evse.closed) == (PilotState.E, True, False)
    assert board(rig).amps == 0
    rig.outlet.failed = False
    rig.advance(12.0)
    assert rig.evse.faults == ()
    assert rig.evse.closed


def test_state_d_is_refused(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    rig.outlet.ventilated = True
    rig.outlet.evse.plug_in(load_vehicle("compact"))
    rig.evse.permit(Limit(10.0))
    rig.advance(12.0)
    rig.wait_for(lambda: kinds(rig) == {FaultKind.PILOT} and board(rig).amps == 0, 250.0)
    rig.advance(12.0)
    assert not rig.outlet.closed, "it does not begin again by itself"


def test_a_vehicle_that_asks_without_a_signal_gets_nothing(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    rig.outlet.eager = True
    rig.outlet.evse.plug_in(load_vehicle("compact"))
    rig.advance(10.0)
    assert (rig.evse.pilot, rig.evse.closed) == (PilotState.C, False)


def test_a_vehicle_that_comes_and_goes_makes_no_fault(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    for draws in (False, True) * 4:
        rig.outlet.evse.adjust(draws=draws)
        rig.advance(1.0)
    rig.advance(10.0)
    assert (rig.evse.pilot, rig.evse.faults) == (PilotState.C, ())


def test_unplugging_while_it_stops_is_just_that(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.evse.permit(NOTHING)
    rig.outlet.evse.plug_out()
    rig.advance(3.0)
    assert (rig.evse.pilot, rig.evse.plugged, rig.evse.closed) == (PilotState.A, False, False)
    assert rig.evse.faults == ()


def test_a_signal_that_outlasts_a_current_of_0_is_turned_off(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    board(rig).runs_on = True
    withdrawn_at = rig.clock.now()
    rig.evse.permit(NOTHING)
    rig.wait_for(lambda: not rig.outlet.closed, 250.0)
    assert rig.clock.now() - withdrawn_at >= 6.0
    board(rig).runs_on = False
    rig.evse.permit(Limit(10.0))
    rig.advance(12.0)
    assert rig.evse.closed


def test_a_vehicle_that_draws_more_than_it_may_is_stopped(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.outlet.greedy = True
    rig.wait_for(lambda: kinds(rig) == {FaultKind.OVER_CURRENT} and board(rig).amps == 0, 250.0)


@both
def test_a_vehicle_that_does_not_let_go_at_once_is_not_called_open(
    opens: Opens, make: type[EvseWbEmulator]
) -> None:
    rig = opens(make)
    charge(rig)
    rig.outlet.stubborn = True
    rig.evse.permit(NOTHING)
    rig.soon()
    assert rig.device.offered_a == 0
    assert rig.evse.closed
    rig.advance(8.0)
    assert not rig.evse.closed
    assert not rig.evse.faults


def test_a_welded_contactor_shows_in_the_meter(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.outlet.welded = True
    rig.evse.permit(NOTHING)
    rig.advance(4.0)
    assert FaultKind.WELDED not in kinds(rig)
    rig.advance(12.0)
    assert FaultKind.WELDED in kinds(rig)


def test_a_silent_controller_is_a_fault_after_10_s_keeps_its_state_and_comes_back(opens: Opens) -> None:
    rig = opens(EvseWbEmulator)
    charge(rig)
    rig.emulator.faults.unit = 1
    rig.emulator.faults.set("drop_request")
    rig.evse.permit(Limit(16.0))
    rig.wait_for(lambda: bool(rig.evse.faults), 400.0)
    assert kinds(rig) == {FaultKind.COMMUNICATION}
    assert rig.evse.pilot is PilotState.C
    assert board(rig).amps == 10
    rig.emulator.faults.clear()
    rig.wait_for(lambda: not rig.evse.faults, 1500.0)
    rig.advance(10.0)
    assert board(rig).amps == 16


@pytest.mark.parametrize(("lost", "blocking"), [("stop", True), ("continue", False)])
def test_a_silent_meter_is_a_fault_after_a_minute_and_gives_no_old_reading(
    opens: Opens, lost: str, blocking: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = opens(EvseWbEmulator, meter_lost=lost)
    charge(rig)
    rig.emulator.faults.unit = 2
    rig.emulator.faults.set("drop_request")
    rig.wait_for(lambda: bool(rig.evse.faults), 1000.0)
    (fault,) = rig.evse.faults
    assert (fault.kind, fault.blocking) == (FaultKind.METER, blocking)
    with pytest.raises(MeterUnavailable):
        rig.evse.reading()
    rig.wait_for(lambda: (board(rig).amps == 0) is blocking, 250.0)
    assert len([line for line in caplog.messages if line.startswith("meter: ")]) == 1  # told, once


def test_a_unit_that_is_no_such_board_is_not_written_to(opens: Opens) -> None:
    rig = opens(lambda outlet: _other(outlet))
    assert kinds(rig) == {FaultKind.INTERNAL}
    assert board(rig).amps == 16


def _other(outlet: Outlet) -> EvseWbEmulator:
    return _SomethingElse(outlet)


class _SomethingElse(EvseWbEmulator):
    """Answers at the same addresses with what no such board says."""

    def read(self, function: int, address: int, count: int) -> list[int]:
        return [0x4366] * count


def _phoenix(**settings: int) -> Callable[[Outlet], PhoenixEmulator]:
    def make(outlet: Outlet) -> PhoenixEmulator:
        return PhoenixEmulator(outlet, **settings)

    make.phoenix = True  # type: ignore[attr-defined]  # a mark of this factory alone
    return make


@pytest.mark.parametrize(
    ("settings", "register"),
    [({"enable_by": 0}, "4000"), ({"available_by": 1}, "4001"), ({"lock_by": 0}, "4002")],
)
def test_a_phoenix_that_obeys_others_is_refused_with_a_remedy(
    opens: Opens, settings: dict[str, int], register: str
) -> None:
    rig = opens(_phoenix(**settings))
    (fault,) = rig.evse.faults
    assert fault.kind is FaultKind.INTERNAL
    assert f"register {register} is" in fault.info
    assert "write" in fault.info


@pytest.mark.parametrize("function", [3, 4])
def test_a_phoenix_tells_its_state_as_holding_or_input_registers(opens: Opens, function: int) -> None:
    rig = opens(_phoenix(status_function=function))
    charge(rig)
    assert rig.device.offered_a == 10


@pytest.mark.parametrize(
    ("bit", "kind"),
    [
        (2, FaultKind.PILOT),
        (6, FaultKind.LOCK),
        (12, FaultKind.NOT_CLOSING),
        (13, FaultKind.PILOT),
        (15, FaultKind.GROUND),
    ],
)
def test_the_error_bits_of_a_phoenix_are_faults_and_stop(opens: Opens, bit: int, kind: FaultKind) -> None:
    rig = opens(PhoenixEmulator)
    charge(rig)
    assert isinstance(rig.device, PhoenixEmulator)
    told = Told(rig)
    rig.device.errors.add(bit)
    rig.wait_for(lambda: kind in told.kinds and rig.device.offered_a == 0, 250.0)
    rig.device.errors.clear()
    rig.wait_for(lambda: not rig.evse.faults, 250.0)


def test_a_lock_that_does_not_move_is_a_fault_until_it_does(opens: Opens) -> None:
    rig = opens(PhoenixEmulator)
    rig.outlet.evse.plug_in(load_vehicle("compact"))
    rig.soon()
    rig.device.deaf = True
    rig.evse.lock(True)
    rig.wait_for(lambda: kinds(rig) == {FaultKind.LOCK}, 250.0)
    rig.device.deaf = False
    rig.evse.lock(True)
    rig.wait_for(lambda: rig.evse.locked and not rig.evse.faults, 250.0)


def test_a_safe_current_is_what_is_left_behind(opens: Opens) -> None:
    rig = opens(EvseWbEmulator, safe_current_a=6)
    charge(rig)
    rig.evse.close()
    rig.soon()
    assert board(rig).amps == 6
    assert rig.evse.left_safe


@both
@pytest.mark.parametrize("charging", [True, False], ids=["charging", "offered"])
def test_it_knows_whether_it_left_the_controller_safe(
    opens: Opens, make: type[EvseWbEmulator], charging: bool
) -> None:
    """One that has been silent for a second only is no fault yet, and may still offer a current."""
    for silent in (False, True):
        rig = opens(make)
        if charging:
            charge(rig)
        else:
            rig.evse.permit(Limit(10.0))
            rig.soon()
        rig.device.deaf = silent
        rig.evse.close()
        rig.advance(4.0)
        assert not rig.evse.faults
        assert rig.evse.left_safe is not silent


@both
def test_one_that_offered_nothing_a_moment_ago_is_left_safe(opens: Opens, make: type[EvseWbEmulator]) -> None:
    """On a bad line it may not hear within a moment that it is to offer nothing, which it does already."""
    rig = opens(make)
    rig.soon()
    rig.device.deaf = True
    rig.evse.close()
    rig.advance(4.0)
    assert rig.evse.left_safe
