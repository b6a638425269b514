"""The clock of a test's stations."""

from __future__ import annotations

from datetime import UTC, datetime

from chargepoint.testing.bench import Bench, Duration, moment_of, seconds_of


class Clock:
    """The one clock of all stations of a test: stepped, wall or sped up."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def now(self) -> datetime:
        """The moment, UTC. A station may think otherwise: `charge_point.state()["now"]`."""
        return datetime.fromtimestamp(self._bench.background.do(self._bench.clock.now), UTC)

    def advance(self, length: Duration) -> None:
        """Let that much time pass: at once on the stepped clock, really on any other."""
        self._bench.advance(seconds_of(length))

    def advance_to(self, moment: str | datetime) -> None:
        """Let time pass up to that moment (RFC 3339 or a datetime). Raises `ValueError` if it is past."""
        length_s = moment_of(moment) - self._bench.clock.now()
        if length_s < 0:
            raise ValueError(f"{moment} is past: it is {self.now().isoformat()}")
        self._bench.advance(length_s)

    def jump(self, length: Duration, *, back: bool = False) -> None:
        """Somebody sets the clocks inside the stations ahead, or back, by so much; time goes on as before.

        On the wall clock a station takes the time of the central system with the next answer that has it.
        """
        by_s = seconds_of(length)
        self._bench.jump(-by_s if back else by_s)
