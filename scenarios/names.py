"""Names between braces that nobody has given a value, found before a scenario runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chargepoint.config.source import Document, Place, Scalar, spelled
from chargepoint.config.wording import nearest
from scenarios.expressions import names_between_braces, names_of

__all__ = ["Included", "Story", "strangers"]

ALWAYS = ("cp", "now", "now_s", "began_s", "since_s", "clock", "seed", "site")

SHOWN = (
    "connector", "status", "error_code", "plugged", "transaction_id", "id_tag", "reservation_id", "energy_wh",
    "session_wh", "power_w", "offered_a", "offered_w", "because", "soc_percent", "online", "registration",
    "queued",
)  # fmt: skip
EXCHANGE = ("action", "from", "id", "t", "request", "response", "error", "answered_t", "event")

_IN_OTHER_WORDS = ("that", "path", "save")
"""Keys of a condition or a call whose braces, if any, are those of another language."""

_ASIDE = ("note", "disturb", "then", "else")

Included = Callable[[Document, str], Document | None]
"""The document that an include in another one means; None if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario's file, and how its includes are found; `given` are the variables given from outside."""

    document: Document
    included: Included
    given: Collection[str] = ()


def strangers(story: Story) -> list[str]:
    """Each use of an unknown name, with its place.

    What may have been set before is taken to be known: in whichever branch, and anywhere in a round or in
    parallel steps. Behind an include that cannot be read nothing is judged.
    """
    walk = _Walk(story.included, {*ALWAYS, *story.given})
    tree = story.document.tree
    walk.variables(story.document, ("variables",), tree.get("variables"), frozenset())
    walk.texts(story.document, ("within",), tree.get("within"), frozenset())
    walk.steps(story.document, ("steps",), tree.get("steps"), frozenset())
    return list(walk.problems)


@dataclass(slots=True)
class _Walk:
    """Goes through a story in its order; `known` grows, what only holds inside something is `local`."""

    included: Included
    known: set[str]
    problems: dict[str, None] = field(default_factory=dict)
    _lost: bool = False
    _within: tuple[str, ...] = ()

    def variables(self, here: Document, place: Place, tree: Any, local: frozenset[str]) -> None:
        """Each may be made of earlier ones."""
        for name, value in _items(tree):
            self.texts(here, (*place, name), value, local)
            self.known.add(str(name))

    def steps(self, here: Document, place: Place, steps: Any, local: frozenset[str]) -> None:
        """One after the other."""
        for n, step in enumerate(steps if isinstance(steps, list) else ()):
            for key, of in _items(step):
                if key not in _ASIDE:
                    self._step(here, (*place, n, key), str(key), of, local)
            for key, of in _items(step):
                if key in ("then", "else"):
                    self.steps(here, (*place, n, key), of, local)

    def _step(self, here: Document, place: Place, key: str, of: Any, local: frozenset[str]) -> None:
        if key == "repeat":
            self._repeat(here, place, of, local)
        elif key == "parallel":
            self.known |= set(self._assigned(here, of))
            for n, branch in enumerate(of if isinstance(of, list) else ()):
                self.steps(here, (*place, n), branch, local)
        elif key == "group":
            self.steps(here, (*place, "steps"), dict(_items(of)).get("steps"), local)
        elif key == "include":
            self._include(here, place, of, local)
        elif key == "set":
            for name, path in _items(of):
                if isinstance(path, str) and path.startswith("="):
                    self._judge(here, (*place, name), names_of(path[1:]), local.union(SHOWN, EXCHANGE))
                self.known.add(str(name))
        else:
            self._condition(here, place, of, local)

    def _condition(self, here: Document, place: Place, of: Any, local: frozenset[str]) -> None:
        """Of a verb, a condition or the central system: texts, and what is saved."""
        if not isinstance(of, Mapping):
            self.texts(here, place, of, local)
            return
        for key, value in of.items():
            if key == "site" and isinstance(value, Mapping):
                self._condition(here, (*place, key), value, local)
            elif key == "frames" and isinstance(value, list):
                for n, item in enumerate(value):
                    self._condition(here, (*place, key, n), item, local)
            elif key not in _IN_OTHER_WORDS:
                self.texts(here, (*place, key), value, local)
        self.known |= {str(name) for name, _ in _items(of.get("save"))}

    def _repeat(self, here: Document, place: Place, of: Any, local: frozenset[str]) -> None:
        parts = dict(_items(of))
        for key in ("times", "at_most", "for_each"):
            self.texts(here, (*place, key), parts.get(key), local)
        counts = {"n", str(parts.get("as", "n")), *(str(name) for name, _ in _items(parts.get("for_each")))}
        self.known |= set(self._assigned(here, parts.get("steps")))
        self.steps(here, (*place, "steps"), parts.get("steps"), local | counts)
        self._condition(here, (*place, "until"), parts.get("until"), local)

    def _include(self, here: Document, place: Place, of: Any, local: frozenset[str]) -> None:
        file = dict(_items(of)).get("file") if isinstance(of, Mapping) else of
        given = dict(_items(of)).get("with") if isinstance(of, Mapping) else None
        self.texts(here, (*place, "with"), given, local)
        other = self.included(here, str(file))
        if other is None or other.name in self._within:
            self._lost = True
            return
        before = set(self.known)
        self.variables(other, ("variables",), other.tree.get("variables"), local)
        own = {str(name) for tree in (given, other.tree.get("variables")) for name, _ in _items(tree)}
        self.known = before
        within, self._within = self._within, (*self._within, other.name)
        self.steps(other, ("steps",), other.tree.get("steps"), local | own)
        self._within = within

    def _assigned(self, here: Document, tree: Any, within: tuple[str, ...] = ()) -> Iterator[str]:
        """Every name that is set or saved somewhere in `tree`, or in what it includes."""
        for item in tree if isinstance(tree, list) else ():
            yield from self._assigned(here, item, within)
        for key, of in _items(tree):
            if key in ("set", "save"):
                yield from (str(name) for name, _ in _items(of))
            if key == "include":
                file = str(dict(_items(of)).get("file") if isinstance(of, Mapping) else of)
                other = self.included(here, file)
                if other is not None and other.name not in within:
                    yield from self._assigned(other, other.tree.get("steps"), (*within, other.name))
            yield from self._assigned(here, of, within)

    def texts(self, here: Document, place: Place, value: Any, local: frozenset[str]) -> None:
        """Whatever stands between braces, however deep."""
        if isinstance(value, list):
            for n, item in enumerate(value):
                self.texts(here, (*place, n), item, local)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self._judge(here, (*place, key), names_between_braces(str(key)), local)
                self.texts(here, (*place, key), item, local)
        elif isinstance(value, Scalar):
            self._judge(here, place, names_between_braces(value), local)

    def _judge(self, here: Document, place: Place, names: Collection[str], local: frozenset[str]) -> None:
        for name in names:
            if name not in self.known and name not in local and not self._lost:
                where = f"{here.name}:{here.line(place)}:{here.column(place)}: {spelled(place)}"
                known = sorted(self.known | local)
                self.problems[f"{where}: {name} is not known here; {nearest(name, known)}"] = None


def _items(tree: Any) -> Collection[tuple[Any, Any]]:
    return tree.items() if isinstance(tree, Mapping) else ()
