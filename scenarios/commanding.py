"""What the central system does in a story: ours directly, a foreign one over its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargepoint.csms.calls import CallFailed, CallTimeout
from chargepoint.csms.central_system import CentralSystem
from scenarios.adapter import Adapter, AdapterError
from scenarios.expressions import filled
from scenarios.history import CSMS
from scenarios.matching import described, mismatch
from scenarios.payloads import answer_payload, call_payload
from scenarios.stage import Stage, Staged
from scenarios.step import Csms
from scenarios.verdict import Failed, Impossible, Unsuited

__all__ = ["called", "told"]

_CALL_WITHIN_S = 30.0


async def told(
    csms: CentralSystem | None, of: Csms, cp: str, at: str | None, scope: Mapping[str, Any]
) -> None:
    """Ours answers otherwise, to `at` or to all, cuts a link, goes or comes. Raises `Impossible`."""
    if csms is None:
        raise Impossible("only the embedded central system can do that")
    try:
        if of.answer is not None:
            _answers(csms, of, at, scope)
        elif of.drop:
            csms.drop(cp)
        elif of.stop:
            await csms.stop()
        else:
            await csms.start()
    except (ValueError, CallFailed, OSError) as error:
        raise Impossible(f"csms: {error}") from None


def _answers(csms: CentralSystem, of: Csms, at: str | None, scope: Mapping[str, Any]) -> None:
    action = str(filled(of.answer, scope))
    csms.set_answer(
        action,
        at,
        None if of.id_tag is None else str(filled(of.id_tag, scope)),
        payload=None if of.usual else answer_payload(action, filled(of.payload, scope)),
        error=None if of.error is None else str(filled(of.error, scope)),
        silent=of.silent,
        delay_s=0.0 if of.delay_s is None else float(filled(of.delay_s, scope)),
        times=None if of.times is None else int(filled(of.times, scope)),
    )


async def called(
    stage: Stage, adapter: Adapter | None, of: Csms, cp: str, scope: Mapping[str, Any]
) -> dict[str, Any]:
    """It calls a station: the exchange.

    Raises `Failed` if the answer is not what was expected, `Unsuited` if an adapter cannot make that call.
    """
    action = str(filled(of.call, scope))
    payload = call_payload(action, filled(of.payload, scope) or {})
    answer, refused = await _asked(stage, adapter, cp, action, payload)
    if of.error is not None:
        if refused is None:
            raise Failed(f"{action} was answered with {described(answer)}, not by a CALLERROR")
        if wrong := mismatch(filled(of.error, scope), refused, "the CALLERROR"):
            raise Failed(f"{action}: {wrong}")
    elif refused is not None:
        raise Failed(f"{action} was answered by the CALLERROR {refused}")
    elif of.expect is not None and (wrong := mismatch(filled(of.expect, scope), answer)):
        raise Failed(f"{action} was answered with {described(answer)}: {wrong}")
    return {
        "cp": cp,
        "action": action,
        "from": "csms",
        "request": payload,
        "response": answer,
        "error": refused,
    }


async def _asked(
    stage: Stage, adapter: Adapter | None, cp: str, action: str, payload: Any
) -> tuple[Any, str | None]:
    """The station's answer, or the code of its CALLERROR."""
    if stage.csms is None:
        if adapter is None:
            raise Impossible("nobody here can make this central system call a station; see --adapter")
        if not adapter.describes(action):
            raise Unsuited(f"the adapter does not say how to make a {action}")
        seen = len(stage.staged(cp).history.exchanges)
        try:
            answer = await adapter.call(cp, action, payload)
        except AdapterError:
            if (code := _refused(stage.staged(cp), seen, action)) is None:
                raise
            return None, code
        return answer, _refused(stage.staged(cp), seen, action)
    stage.clock.release()  # the call holds it itself, but on a slow line, which takes station time
    try:
        return await stage.csms.call(cp, action, payload, timeout_s=_CALL_WITHIN_S), None
    except CallTimeout as error:
        raise Failed(str(error)) from None
    except CallFailed as error:
        return None, error.code
    finally:
        stage.clock.hold()


def _refused(staged: Staged, seen: int, action: str) -> str | None:
    """The CALLERROR with which the station answered that call; each API tells of one in a way of its own."""
    for exchange in staged.history.exchanges[seen:]:
        if exchange.sender == CSMS and exchange.action == action and exchange.error is not None:
            return exchange.error
    return None
