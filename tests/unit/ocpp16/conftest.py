"""What every station on a bench is checked for when its test is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.ocpp16.bench import Bench

LONG_S = 2 * 86_400.0


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """The clock is held only by a CALL in flight, and software that has ended does nothing any more."""
    yield
    for bench in Bench.made:
        assert bench.clock.held == (bench.cp.session.outstanding is not None)
        bench.cp.close()
        assert not bench.clock.held
        frames, permits = list(bench.csms.frames), [evse.offered for evse in bench.evses]
        bench.advance(LONG_S)
        assert bench.csms.frames == frames
        assert [evse.offered for evse in bench.evses] == permits
