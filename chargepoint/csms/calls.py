"""What can go wrong with a CALL to a station."""

from __future__ import annotations


class CallFailed(Exception):
    """The station refused: `code` is the CALLERROR's; an answer that is not valid counts as refused."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


class CallTimeout(CallFailed):
    """No answer in time; a later one is ignored."""

    def __init__(self, action: str, waited_s: float) -> None:
        super().__init__("timeout", f"no answer to {action} within {waited_s:g} s")
        self.waited_s = waited_s


class NotConnected(CallFailed):
    """The station is not there, or went away before it answered."""

    def __init__(self, cp: str) -> None:
        super().__init__("not_connected", f"{cp} is not connected")
