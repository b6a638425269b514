"""What may be written about a disturbance, in a step `disturb` or under `background`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from chargepoint import durations
from chargepoint.config.section import Expected, Section, mistake, mistakes

__all__ = ["Disturbance", "FrameKind", "HardwareKind", "TlsKind"]

_SIGNED = "a time such as 90s, -2h or 200ms"
_MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)ms")


def _signed(value: Any) -> Any:
    """Seconds of a text with or without a sign; other values are left to the type."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-").removeprefix("+")
    if (found := _MILLISECONDS.fullmatch(text)) is not None:
        return sign * float(found[1]) / 1000
    try:
        return sign * durations.seconds(text)
    except ValueError:
        raise mistake(f'is not a length of time (is "{value}"); write {_SIGNED}') from None


_LENGTH = r"([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+|[0-9]+(\.[0-9]+)?"

Signed = Annotated[
    float,
    BeforeValidator(_signed),
    Expected(_SIGNED),
    WithJsonSchema({"type": ["string", "number"], "pattern": rf"^\s*[+-]?({_LENGTH})\s*$"}),
]
Length = Annotated[
    float,
    Field(ge=0),
    BeforeValidator(_signed),
    Expected("a time such as 90s, 1h30m or 200ms"),
    WithJsonSchema({"type": ["string", "number"], "pattern": rf"^\s*\+?({_LENGTH})\s*$", "minimum": 0}),
]

LinkKind = Literal["clean_cut", "hard_cut", "half_open", "ping_loss", "slow"]
FrameKind = Literal[
    "drop",
    "duplicate",
    "reorder",
    "corrupt",
    "truncate",
    "oversize",
    "wrong_id",
    "wrong_type",
    "withhold",
    "late",
    "twice",
]
ClockKind = Literal["skew", "drift", "jump"]
TlsKind = Literal["expired", "wrong_name", "unknown_ca", "no_client_certificate", "old_version"]
HardwareKind = Literal[
    "meter_silent",
    "meter_nan",
    "meter_frozen",
    "meter_back",
    "meter_reset",
    "meter_jump",
    "meter_backwards",
    "meter_kilowatts",
    "meter_phase_lost",
    "meter_frequency",
    "limit_ignored",
    "limit_turned",
    "controller_silent",
    "controller_reboot",
    "watchdog_unfed",
    "cable_limit",
    "contactor_welded",
    "contactor_not_closing",
    "contactor_bounces",
    "mirror_broken",
    "pilot",
    "lock_broken",
    "over_temperature",
    "ground",
    "over_current",
    "ev_draws_more",
    "ev_flapping",
    "ev_ignores_stop",
    "ev_eager",
    "ev_sleeps",
    "ev_ventilation",
    "ev_no_diode",
]

_ALWAYS = frozenset({"name", "for_", "about_every"})
_FRAMES = frozenset({"direction", "action", "chance", "times"})
_OPTIONS: dict[str, frozenset[str]] = {
    "slow": frozenset({"latency", "jitter", "bandwidth_bps"}),
    **dict.fromkeys(("drop", "corrupt", "truncate", "wrong_id", "withhold"), _FRAMES | {"of"}),
    **dict.fromkeys(("duplicate", "reorder", "late", "twice"), _FRAMES | {"of", "delay"}),
    "oversize": _FRAMES | {"of", "size"},
    "wrong_type": _FRAMES | {"of", "message_type"},
    "skew": frozenset({"by"}),
    "jump": frozenset({"by"}),
    "drift": frozenset({"ppm"}),
    **dict.fromkeys(("meter_back", "meter_jump"), frozenset({"by_wh"})),
    **dict.fromkeys(("limit_turned", "controller_reboot", "cable_limit"), frozenset({"to_a"})),
    "ev_draws_more": frozenset({"by_a"}),
    "ev_flapping": frozenset({"every"}),
}
_ANSWERS_ONLY = frozenset({"withhold", "late", "twice"})
_MOMENTARY = frozenset(
    {"jump", "meter_back", "meter_reset", "meter_jump", "limit_turned", "controller_reboot", "watchdog_unfed"}
)
_KINDS = ("link", "frame", "clock", "tls", "hardware", "calm")


class Disturbance(Section):
    """One fault: what it is, where it strikes, how long it lasts.

    Without `for` it stays until `disturb: {calm: NAME}` or the end of the scenario.
    """

    link: LinkKind | None = Field(default=None, description="A fault of the connection.")
    frame: FrameKind | None = Field(default=None, description="A fault of single messages.")
    clock: ClockKind | None = Field(default=None, description="A fault of the station's clock.")
    tls: TlsKind | None = Field(
        default=None, description="A fault of TLS; needs the embedded central system."
    )
    hardware: HardwareKind | None = Field(
        default=None, description="A fault of a simulated connector or its vehicle."
    )
    calm: str | None = Field(
        default=None, min_length=1, description="Ends the disturbance of that name; all: every one."
    )
    name: str | None = Field(
        default=None, min_length=1, description="What `calm` calls it; otherwise its kind, such as half_open."
    )
    for_: Length | None = Field(
        default=None, alias="for", description="How long, in station time; without it until calmed."
    )
    about_every: Length | None = Field(
        default=None,
        gt=0,
        description="Strikes again and again, at random moments so far apart on average; `for` is how long "
        "each time.",
    )

    latency: Length = Field(default=0.0, description="slow: every message takes so long, in station time.")
    jitter: Length = Field(default=0.0, description="slow: and up to so much longer, by seed.")
    bandwidth_bps: float | None = Field(
        default=None, gt=0, description="slow: so many bits a second, each way, framing included."
    )

    direction: Literal["to_csms", "from_csms", "both"] | None = Field(
        default=None,
        description="Which way the messages go; both, but from_csms for withhold, late and twice.",
    )
    of: Literal["calls", "answers", "all"] | None = Field(
        default=None,
        description="Requests, their answers or all; withhold, late and twice know answers only.",
    )
    action: str | None = Field(
        default=None, min_length=1, description="Only this action's requests and answers, e.g. Heartbeat."
    )
    chance: float = Field(default=1.0, ge=0, le=1, description="How likely each such message suffers.")
    times: int | None = Field(default=None, ge=1, description="At most so many messages; then no more.")
    delay: Length | None = Field(
        default=None,
        description="late: by how much (45s); duplicate, twice: when the second one comes (0s); reorder: how "
        "long a message waits for the next one to overtake it (5s).",
    )
    size: int = Field(default=70_000, ge=1000, le=2**25, description="oversize: the message's bytes.")
    message_type: int = Field(
        default=9, ge=0, le=99, description="wrong_type: what stands instead of 2, 3, 4."
    )

    by: Signed | None = Field(default=None, description="skew, jump: forward, or back if negative.")
    ppm: float | None = Field(
        default=None, ge=-100_000, le=100_000, description="drift: seconds in a million; negative is slow."
    )

    connector: int = Field(default=1, ge=1, description="hardware: at which connector.")
    by_wh: float = Field(
        default=1000.0, gt=0, description="meter_back, meter_jump: the register leaps so far."
    )
    by_a: float = Field(default=5.0, gt=0, le=100, description="ev_draws_more: so much above the offer.")
    to_a: float | None = Field(
        default=None,
        ge=6,
        le=100,
        description="limit_turned, controller_reboot: what the controller offers then (16); cable_limit: "
        "what the cable carries (13).",
    )
    every: Length = Field(default=2.0, gt=0, description="ev_flapping: the pilot changes so often.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Disturbance:
        written = [key for key in _KINDS if getattr(self, key) is not None]
        if len(written) != 1:
            raise mistake(f"must have exactly one of {', '.join(_KINDS)}; write for example link: half_open")
        allowed = set(_OPTIONS.get(self.kind, frozenset()))
        if self.calm is None:
            allowed |= _ALWAYS
        if self.hardware is not None:
            allowed.add("connector")
        idle = sorted(key.rstrip("_") for key in self.model_fields_set - allowed - {*written})
        wrong = dict.fromkeys(idle, f"has no meaning for {self.kind}; leave it out")
        if self.kind in ("skew", "jump") and self.by is None:
            wrong["by"] = "is missing; write for example -2h"
        if self.clock == "drift" and self.ppm is None:
            wrong["ppm"] = "is missing; write for example 200"
        if self.link == "slow" and not (self.latency or self.jitter or self.bandwidth_bps):
            wrong["link"] = "is slow without saying how; add latency, jitter or bandwidth_bps"
        if self.kind in _ANSWERS_ONLY and self.of in ("calls", "all"):
            wrong["of"] = f"must be answers for {self.kind}; leave it out"
        if self.kind in _MOMENTARY and self.for_ is not None:
            wrong["for"] = f"has no meaning for {self.kind}, which happens in a moment; leave it out"
        if self.about_every is not None and self.for_ is None and not self.momentary:
            wrong["for"] = "is missing beside about_every; say how long it is each time"
        if wrong:
            raise mistakes(wrong)
        return self

    @property
    def kind(self) -> str:
        """Which fault, in one word."""
        return str(self.link or self.frame or self.clock or self.tls or self.hardware or "calm")

    @property
    def called(self) -> str:
        """By which name it is calmed."""
        return self.name or self.kind

    @property
    def momentary(self) -> bool:
        """It happens and is over."""
        return self.kind in _MOMENTARY

    @property
    def needs(self) -> frozenset[str]:
        """What a scenario with it cannot do without."""
        return frozenset({"own csms"}) if self.tls is not None else frozenset()
