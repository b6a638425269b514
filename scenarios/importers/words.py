"""The words and arrows with which a log says who spoke."""

from __future__ import annotations

import re

_OUT = (
    r"sent|sends?|sending|tx|outgoing|outbound|out|transmit(?:ted|ting)?|writing|wrote|request sent"
    r"|gesendet|ausgehend|ausgang"
)
_IN = r"received|receives?|receiving|recv|rx|incoming|inbound|in|reading|empfangen|eingehend|eingang"
_ARROW_OUT = r"(?<![-=])[-=]+>|>{2,}|>(?=\s*\[)|[→⇒➡▶]"
_ARROW_IN = r"<[-=]+|<{2,}|<(?=\s*\[)|[←⇐⬅◀]"
_CP = r"(?:cp|cs|evse|station|charger|charge[ _-]?point|charge[ _-]?box|ladepunkt|ladestation|ladesäule)"
_CSMS = r"(?:csms|cs|cpms|backend|backoffice|server|central[ _-]?system|central|zentralsystem|zentrale)"
_TO = r"[ _]*(?:-?to-?|an|2|[-=]+>|>|→)[ _]*"

_OUTRIGHT = re.compile(
    rf"\b(?:(?P<out>{_CP}{_TO}{_CSMS}|up(?:link|stream))|(?P<in>{_CSMS}{_TO}{_CP}|down(?:link|stream)))\b",
    re.I,
)
_WORD = re.compile(
    rf"(?:(?<![\w-])(?:(?P<out>{_OUT})|(?P<in>{_IN}))(?![\w-])|(?P<arrow_out>{_ARROW_OUT})|(?P<arrow_in>{_ARROW_IN}))",
    re.I,
)
_STATION = re.compile(
    r"\b(?:charge[_-]?box(?:[_-]?id)?|charge[_-]?point(?:[_-]?id)?|cp[_-]?id|cp|station(?:[_-]?id)?|identity|evse)"
    r"[\"']?\s*[=:]\s*[\"']?(?!null\b)(?P<id>[^\s,;\"'\]\)}]+)",
    re.I,
)
_NEAR_WORD = re.compile(
    r"(?:ocpp:(?P<logger>[^\s:\[\]]+):\s+(?:send|receive)|(?:\b(?:send|sent|recv|received?)\s+(?P<after>[\w.-]+):\s*$))"
)


def outright(text: str) -> bool | None:
    """True if it says "charge point to central system", False for the other way, None if neither."""
    match = _OUTRIGHT.search(text)
    return None if match is None else match["out"] is not None


def word(text: str) -> bool | None:
    """True for sent, False for received, by the word or arrow nearest to the frame; None without one."""
    found = list(_WORD.finditer(text))
    return bool(found[-1]["out"] or found[-1]["arrow_out"]) if found else None


def station(text: str) -> str | None:
    """The identity that stands before a frame, if one does."""
    if (match := _NEAR_WORD.search(text)) is not None:
        return match["logger"] or match["after"]
    match = _STATION.search(text)
    return None if match is None else match["id"]
