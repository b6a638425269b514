"""How each action is answered when it is not answered as usual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

ACTIONS = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
"""Every action a station may call, the security extension included."""

# What nobody can write down in advance, because only the central system knows it at that moment, and the
# field that shows that the author meant a proper answer rather than rubbish.
_KNOWN_LATER = {
    "BootNotification": ("currentTime", "status"),
    "StartTransaction": ("transactionId", "idTagInfo"),
}


@dataclass(slots=True)
class Answer:
    """One way of answering; `payload` None and no `error` is the usual payload, perhaps late or unsent.

    `silent` means lost on the way: the CALL takes effect, its answer is never sent. With `error` it does not
    take effect. `times` counts down; None is for ever.
    """

    payload: Any = None
    error: str | None = None
    silent: bool = False
    delay_s: float = 0.0
    times: int | None = None

    @property
    def usual(self) -> bool:
        """True if this changes nothing."""
        return self.payload is None and self.error is None and not self.silent and not self.delay_s

    def check(self) -> None:
        """Raise `ValueError` if this makes no sense."""
        if (self.payload is not None) + (self.error is not None) + self.silent > 1:
            raise ValueError("give one of payload, error and silent")
        if self.error == "":
            raise ValueError("error must be a CALLERROR code")
        if not (math.isfinite(self.delay_s) and self.delay_s >= 0):
            raise ValueError("delay_s must be 0 or more")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more")

    def completed(self, action: str, usual: dict[str, Any]) -> Any:
        """The payload as given, with the one field its author could not know: `currentTime` next to a
        `status`, `transactionId` next to an `idTagInfo`. Everything else goes out verbatim, valid or not.
        """
        if not isinstance(self.payload, dict) or action not in _KNOWN_LATER:
            return self.payload
        later, sign = _KNOWN_LATER[action]
        if sign in self.payload and later not in self.payload and later in usual:
            return {**self.payload, later: usual[later]}
        return self.payload


_Scope = tuple[str, str | None, str | None]


class Answers:
    """The answers in force. The narrowest scope wins: id_tag and cp, id_tag, cp, everybody."""

    __slots__ = ("_by_scope",)

    def __init__(self) -> None:
        self._by_scope: dict[_Scope, Answer] = {}

    def set(self, action: str, cp: str | None, id_tag: str | None, answer: Answer) -> None:
        """Replace what was set for the same scope; a `usual` answer takes it back. Raises `ValueError`."""
        if action not in ACTIONS:
            raise ValueError(f"a station never calls {action!r}")
        answer.check()
        scope = (action, cp, _folded(id_tag))
        if answer.usual:
            self._by_scope.pop(scope, None)
        else:
            self._by_scope[scope] = answer

    @property
    def any(self) -> bool:
        """Something else than the usual is in force for somebody."""
        return bool(self._by_scope)

    def take(self, action: str, cp: str, payload: Any) -> Answer | None:
        """The answer for this CALL, counted down; None for the usual one."""
        if not self._by_scope:
            return None
        id_tag = payload.get("idTag") if isinstance(payload, dict) else None
        tags = (_folded(id_tag), None) if isinstance(id_tag, str) else (None,)
        for tag in tags:
            for station in (cp, None):
                scope = (action, station, tag)
                if (answer := self._by_scope.get(scope)) is not None:
                    self._count(scope, answer)
                    return answer
        return None

    def _count(self, scope: _Scope, answer: Answer) -> None:
        if answer.times is not None:
            answer.times -= 1
            if not answer.times:
                del self._by_scope[scope]


def _folded(id_tag: str | None) -> str | None:
    """Identifiers are compared without case (OCPP 1.6 §7.28)."""
    return None if id_tag is None else id_tag.casefold()
