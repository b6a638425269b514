"""What drivers bring: the vehicles of a group with their weights, and the cards they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chargepoint.config.section import plain
from chargepoint.config.source import Place
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.elsewhere import lines_of
from chargepoint.fleet.plan.identities import Numbering, pattern_problem
from hal.simulated.vehicle import DEFAULT_KIND, Vehicle, vehicle_from, vehicle_names

__all__ = ["MOST_TAGS", "TAG_LENGTH", "Weighted", "tag_pool", "tag_problems", "tags_in", "vehicles_from"]

TAG_LENGTH = 20
"""The most characters of an idTag (OCPP 1.6 §7.28, CiString20Type)."""

MOST_TAGS = 1_000_000

Weighted = tuple[tuple[Vehicle, float], ...]

_POOL = re.compile(r"(.*\S)\s+x\s*([0-9]{1,7})", re.ASCII)


def vehicles_from(written: Mapping[str, Any] | Sequence[Any]) -> tuple[Weighted, dict[Place, str]]:
    """The vehicles with their weights, and what is wrong at which place of what was written."""
    found: list[tuple[Vehicle, float]] = []
    problems: dict[Place, str] = {}
    for place, named, keys, weight in _items(written):
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight <= 1e6:
            where = (*place, "weight") if keys and "weight" in keys else place
            problems[where] = "is not a weight; write a number above 0 and up to 1000000"
        if keys is None:
            problems[place] = "is not a vehicle; write its name, or keys of a vehicle with its weight"
            continue
        try:
            found.append((_vehicle(keys), weight))
        except ValueError as error:
            key, _, problem = str(error).partition(": ")
            problems[place if named else (*place, key)] = problem
    return tuple(found), problems


def _items(
    written: Mapping[str, Any] | Sequence[Any],
) -> Iterator[tuple[Place, bool, dict[str, Any] | None, Any]]:
    """Place, whether it is given by name, keys and weight of each; None for keys that are none."""
    if isinstance(written, Mapping):
        for name, weight in written.items():
            yield (name,), True, {"kind": name}, plain(weight)
        return
    for index, item in enumerate(map(plain, written)):
        if isinstance(item, dict):
            yield (index,), False, item, item.get("weight", 1.0)
        else:
            yield (index,), True, {"kind": item} if isinstance(item, str) else None, 1.0


def _vehicle(keys: Mapping[str, Any]) -> Vehicle:
    """Raises `ValueError`, naming the key at fault first."""
    kind = keys.get("kind", DEFAULT_KIND)
    if kind not in vehicle_names():
        raise ValueError(f"kind: is not a vehicle; {nearest(str(kind), vehicle_names())}")
    return vehicle_from({key: value for key, value in keys.items() if key != "weight"})


def tag_pool(text: str) -> Numbering | str | None:
    """The pool that `TAG{n:04d} x 500` stands for, or what is wrong with it; None if it is no pattern."""
    if "{" not in text:
        return None
    found = _POOL.fullmatch(text.strip())
    if found is None or not 1 <= int(found[2]) <= MOST_TAGS:
        return f'is not a pool (is "{text}"); write for example TAG{{n:04d}} x 500'
    pool = Numbering(found[1], int(found[2]), 1)
    return pattern_problem(pool.pattern, pool.count, pool.first, TAG_LENGTH) or pool


def tag_problems(tags: Sequence[str]) -> dict[Place, str]:
    """What is wrong with which card of a list. Cards that differ in case only are one (§7.28)."""
    found: dict[Place, str] = {}
    first: dict[str, int] = {}
    for index, tag in enumerate(tags):
        if not 1 <= len(tag) <= TAG_LENGTH:
            found[index,] = f"must have 1 to {TAG_LENGTH} characters (has {len(tag)}); shorten it"
        elif not tag.isprintable() or tag != tag.strip():
            found[index,] = "has blanks around it or characters that cannot be printed; remove them"
        elif first.setdefault(tag.casefold(), index) != index:
            found[index,] = f'is there twice (is "{tag}"); keep one'
    return found


def tags_in(path: Path) -> tuple[str, ...]:
    """The cards in a file, one on each line; lines that are empty or begin with # are left out.

    Raises `ConfigError` with every line that is wrong.
    """
    lines = [(number, line.strip()) for number, line in enumerate(lines_of(path), 1)]
    lines = [(number, tag) for number, tag in lines if tag and not tag.startswith("#")]
    tags = tuple(tag for _, tag in lines)
    problems = tag_problems(tags)
    if wrong := [f"{path}:{line}: {problems[i,]}" for i, (line, _) in enumerate(lines) if (i,) in problems]:
        raise ConfigError(wrong)
    if not tags:
        raise ConfigError([f"{path}: holds no id tag; write one on each line"])
    return tags
