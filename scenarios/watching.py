"""Waits for what a story expects: time to pass, a condition to come true, something never to happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chargepoint.durations import seconds
from chargepoint.ocpp16.times import format_time, parse_time
from scenarios.checks import Check, Mark, Truth, check_for
from scenarios.condition import Condition, Never
from scenarios.expressions import ExpressionError, filled
from scenarios.knowledge import Branch, Knowledge
from scenarios.stage import Stage
from scenarios.step import Wait
from scenarios.verdict import Failed, Impossible

__all__ = ["Watch"]

EXPECT_WITHIN = "10s"
WAIT_WITHIN = "10m"


class Watch:
    """Looks at one stage for one story."""

    def __init__(self, stage: Stage, knows: Knowledge) -> None:
        self._stage = stage
        self._knows = knows

    async def wait(self, wait: Wait, branch: Branch) -> None:
        """Let time pass, or wait for a condition. Raises `Failed`, `Impossible`."""
        scope = self._knows.scope(branch)
        if wait.for_ is not None:
            self._knows.move_on(branch)
            await self._stage.sleep(seconds(str(filled(wait.for_, scope))))
        elif wait.until is not None:
            self._knows.move_on(branch)
            until = _moment(str(filled(wait.until, scope)), wait.zone, self._stage.clock.now())
            if until < self._stage.clock.now():
                raise Impossible(
                    f"{format_time(until)} is over already: it is {format_time(self._stage.clock.now())}"
                )
            await self._stage.sleep(until - self._stage.clock.now())
        if wait.subject != "that" or wait.that is not None:
            await self.expect(wait, branch, WAIT_WITHIN)

    async def expect(self, condition: Condition, branch: Branch, usual: str = EXPECT_WITHIN) -> None:
        """It must come true in its time, or in the usual one. Raises `Failed`."""
        check = self._looking(condition, branch)
        within = str(filled(condition.within or usual, self._knows.scope(branch)))
        truth = await self._true(check, within, patient=True)
        branch.view.looked = True
        if truth is None:
            raise Failed(self._told(condition, check, f"waited {within} for {check.text}", branch))
        truth.take()
        if truth.by:
            self._knows.newest = truth.document
        self._knows.assign(condition.save, truth.document, branch)

    async def never(self, never: Never, branch: Branch) -> None:
        """It must not come true. Raises `Failed`."""
        check = self._looking(never, branch)
        watched = str(filled(never.for_, self._knows.scope(branch)))
        truth = await self._true(check, watched)
        branch.view.looked = True
        if truth is not None:
            when = f" at {format_time(truth.by[-1].t)}" if truth.by else ""
            raise Failed(never.message or f"{check.text} must not happen, and did{when}")

    async def _true(self, check: Check, within: str, *, patient: bool = False) -> Truth | None:
        """The truth of a condition, if it comes in time; an expression that goes wrong ends the waiting."""
        wrong: list[ExpressionError] = []

        def look() -> Truth | None:
            try:
                return check()
            except ExpressionError as error:
                wrong.append(error)
                return Truth()

        truth = await self._stage.until(look, seconds(within), polled=check.polled, patient=patient)
        if wrong:
            raise wrong[0]
        return truth

    def _looking(self, condition: Condition, branch: Branch) -> Check:
        staged = self._knows.at(branch)
        mark = branch.view.marks.get(staged.history.cp, Mark())
        oracle = self._stage.site
        site = None if oracle is None else lambda: oracle.numbers(self._stage.clock.now())
        return check_for(condition, staged, self._knows.scope(branch), mark, site)

    def is_true(self, condition: Condition, branch: Branch) -> bool:
        """It is true now."""
        return self._looking(condition, branch)() is not None

    def _told(self, condition: Condition, check: Check, waited: str, branch: Branch) -> str:
        instead = check.instead()
        text = waited + (f": {instead}" if instead else "")
        if condition.message is None:
            return text
        return f"{filled(condition.message, self._knows.scope(branch))} ({text})"


def _moment(text: str, zone: str, now: float) -> float:
    """The next time it is that late in that zone, or a date and time."""
    if "-" in text:
        return parse_time(text)
    place = ZoneInfo(zone)
    here = datetime.fromtimestamp(now, UTC).astimezone(place)
    hour, minute, *rest = (int(part) for part in text.split(":"))
    then = here.replace(hour=hour, minute=minute, second=rest[0] if rest else 0, microsecond=0, fold=0)
    if then.timestamp() <= now:
        then = (then.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=place)
    return then.timestamp()
