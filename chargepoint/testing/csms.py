"""The embedded central system in a test's hands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargepoint.csms import CallFailed, CentralSystem, NotConnected
from chargepoint.csms.ledger import Transaction
from chargepoint.testing.bench import Bench
from chargepoint.testing.frames import Frame, Payload


class Csms:
    """The embedded central system. `cp` may be left out while the test has one station."""

    def __init__(self, bench: Bench, central: CentralSystem) -> None:
        self._bench = bench
        self._central = central

    @property
    def url(self) -> str:
        """Where it listens; a station appends its identity."""
        return self._central.url

    def call(
        self,
        action: str,
        payload: Mapping[str, Any] | None = None,
        /,
        *,
        cp: str | None = None,
        **fields: Any,
    ) -> Payload:
        """Send a CALL with this payload, or these fields, and return that of its answer.

        Raises `CallFailed` with the code of a CALLERROR, `CallTimeout`, `NotConnected`.
        """
        __tracebackhide__ = True
        station = self._one(cp)
        whole = {**(payload or {}), **fields}
        try:
            return self._bench.act(lambda: self._central.call(station, action, whole))
        except CallFailed as failed:
            raise failed.with_traceback(None) from None

    def answer(
        self,
        action: str,
        payload: Any = None,
        /,
        *,
        id_tag: str | None = None,
        cp: str | None = None,
        error: str | None = None,
        silent: bool = False,
        delay_s: float = 0.0,
        times: int | None = None,
    ) -> None:
        """How `action` is answered from now on, to all or one station, for all or one idTag.

        `payload` goes out verbatim, but for what only the central system knows (`currentTime`,
        `transactionId`); `error` is a CALLERROR code; `silent`: the answer is lost; `delay_s` is real time.
        After `times` answers, or with none of these, the usual answer is back.
        """
        __tracebackhide__ = True
        self._bench.background.do(
            lambda: self._central.set_answer(
                action, cp, id_tag, payload=payload, error=error, silent=silent, delay_s=delay_s, times=times
            )
        )

    def drop(self, cp: str | None = None) -> None:
        """Cut a station's link without a close frame."""
        station = self._one(cp)
        self._bench.act(lambda: self._central.drop(station))

    def transactions(self, cp: str | None = None) -> list[Transaction]:
        """The transactions of one station or of all, oldest first."""
        return self._bench.background.do(lambda: self._central.transactions(cp))

    @property
    def frames(self) -> list[Frame]:
        """All frames of all stations as they came and went here, oldest first."""
        return list(self._bench.record.frames)

    def received(self, action: str, /, **where: Any) -> list[Frame]:
        """The stations' CALLs of that action so far whose payload has these fields."""
        return list(self._bench.record.calls(True, action, where))

    def sent(self, action: str, /, **where: Any) -> list[Frame]:
        """The CALLs of that action to stations so far whose payload has these fields."""
        return list(self._bench.record.calls(False, action, where))

    def _one(self, cp: str | None) -> str:
        if cp is not None:
            return cp
        known = [station.identity for station in self._central.stations()]
        if not known:
            raise NotConnected("no station")
        if len(known) > 1:
            raise ValueError(f"say which station, cp=...: there are {', '.join(known)}")
        return known[0]
