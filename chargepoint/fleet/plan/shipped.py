"""Templates and behaviours as a fleet's file names them: whether they are there, and what they bring."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from chargepoint.config import StationConfig
from chargepoint.config.wording import nearest
from chargepoint.fleet.people.behaviour import Behaviour, behaviour_names, sessions_per_day
from chargepoint.fleet.plan.template import load_template, template_names

__all__ = ["behaviour_problem", "is_path", "sessions_a_day", "template_config", "template_problem"]


def is_path(name: str) -> bool:
    """Whether a template or behaviour is a file of one's own rather than the name of one that is shipped."""
    return "/" in name or name.endswith((".yaml", ".yml"))


def template_problem(name: str, warn: Callable[[str], None]) -> str | None:
    """Why there is no such template. Raises `ConfigError` for mistakes within it."""
    if not is_path(name) and name not in template_names():
        return f"is not a template; {nearest(name, template_names())}"
    load_template(name, warn)
    return None


def template_config(name: str | None) -> StationConfig:
    """The station of a template; a plain one for None. Raises `ConfigError`."""
    # Whoever checked the name has heard its warnings.
    return StationConfig() if name is None else load_template(name, lambda text: None).config


def behaviour_problem(name: str) -> str | None:
    """Why there is no such behaviour. Raises `ConfigError` for mistakes within it."""
    if is_path(name):
        Behaviour.load(name)
    elif name not in behaviour_names():
        return f"is not a behaviour; {nearest(name, behaviour_names())}"
    return None


def sessions_a_day(behaviour: str, config: StationConfig) -> float:
    """Sessions to expect on an average day at a station, at the kinds of site of a mixture that fit it."""
    current = "dc" if all(connector.current == "dc" for connector in config.connectors) else "ac"
    return _sessions_a_day(behaviour, current, len(config.connectors))


@lru_cache
def _sessions_a_day(behaviour: str, current: str, connectors: int) -> float:
    found = Behaviour.load(behaviour)
    fitting = tuple((site, share) for site, share in found.sites if site.config.current in (current, "any"))
    there = Behaviour(found.name, found.title, found.description, fitting or found.sites, None, 0)
    return sessions_per_day(there, connectors)
