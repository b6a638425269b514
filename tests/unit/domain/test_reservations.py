"""Whom a reservation is meant for, and which connectors are kept free (OCPP 1.6 §3.11, §5.13)."""

from __future__ import annotations

import pytest

from chargepoint.domain.reservations import Entitled, Reservation, User, best, entitled, keep_free
from chargepoint.errors import StoreError
from chargepoint.ocpp16.times import format_time
from chargepoint.store import MemoryStore
from tests.unit.ocpp16.bench import Bench

ALONE = Reservation(1, 1, "Ann", 0.0)
GROUP = Reservation(1, 1, "Ann", 0.0, "Group")
YES, PERHAPS, NO = Entitled


@pytest.mark.parametrize(
    ("reservation", "user", "answer"),
    [
        pytest.param(ALONE, User("ANN", None), YES, id="same-tag-in-any-case"),
        pytest.param(ALONE, User("BOB", None, certain=False), NO, id="foreign-tag-and-no-group"),
        pytest.param(ALONE, User("BOB", "Ann"), NO, id="a-parent-is-no-tag"),
        pytest.param(GROUP, User("ann", None), YES, id="same-tag-whatever-the-parent"),
        pytest.param(GROUP, User("BOB", "GROUP"), YES, id="same-group-in-any-case"),
        pytest.param(GROUP, User("BOB", "GROUP", certain=False), YES, id="same-group-known-here"),
        pytest.param(GROUP, User("BOB", "OTHER", certain=False), NO, id="another-group"),
        pytest.param(GROUP, User("BOB", None, certain=False), PERHAPS, id="parent-not-asked-yet"),
        pytest.param(GROUP, User("BOB", None), NO, id="no-parent"),
        pytest.param(GROUP, User("GROUP", None), NO, id="a-tag-is-no-parent"),
    ],
)
def test_whom_it_is_meant_for(reservation: Reservation, user: User, answer: Entitled) -> None:
    assert entitled(reservation, user) is answer


@pytest.mark.parametrize(
    ("answers", "together"),
    [([], NO), ([NO, NO], NO), ([NO, PERHAPS], PERHAPS), ([PERHAPS, YES, NO], YES)],
)
def test_any_of_several_will_do(answers: list[Entitled], together: Entitled) -> None:
    assert best(answers) is together


@pytest.mark.parametrize(
    ("wanted", "empty", "plugged", "kept"),
    [
        pytest.param(0, [1, 2], [3], set(), id="nothing-reserved"),
        pytest.param(1, [1, 2], [], set(), id="more-than-enough"),
        pytest.param(2, [1, 2], [], {1, 2}, id="just-enough"),
        pytest.param(1, [1], [2], {1}, id="an-empty-one-is-better"),
        pytest.param(2, [1], [2, 3], {1, 2}, id="plugged-ones-as-far-as-needed"),
        pytest.param(3, [1], [], {1}, id="too-few"),
        pytest.param(1, [], [], set(), id="none-left"),
    ],
)
def test_what_is_kept_free(wanted: int, empty: list[int], plugged: list[int], kept: set[int]) -> None:
    assert keep_free(wanted, empty, plugged) == kept


class FullDisk(MemoryStore):
    """A store that keeps nothing while it is full."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("no space left")
        super().commit()


def test_a_start_that_cannot_be_stored_uses_no_reservation_up() -> None:
    store = FullDisk()
    bench = Bench(store=store)
    bench.connect()
    payload = {"connectorId": 1, "expiryDate": format_time(bench.clock.now() + 3600), "idTag": "ANN"}
    assert bench.call("ReserveNow", payload | {"reservationId": 7}) == {"status": "Accepted"}
    bench.plug_in()
    store.full = True
    with bench.cp.turn:
        bench.cp.connectors.reception.tag_presented("ANN", 1)
    bench.clock.advance(0)
    assert {type(error) for error in bench.errors} == {StoreError}
    bench.errors.clear()
    assert bench.sent("StartTransaction") == []
    assert bench.local_status() == "Reserved"
    store.full = False
    bench.advance(10)
    bench.swipe("BOB")
    assert bench.local_status() == "Reserved"
    bench.swipe("ANN")
    assert [p["reservationId"] for p in bench.sent("StartTransaction")] == [7]
    bench.restart()
    assert not bench.cp.connectors.reservations
