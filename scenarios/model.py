"""A scenario's file: the stations, the story, and all its mistakes at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from chargepoint.config import StationConfig
from chargepoint.config.problems import in_order, places
from chargepoint.config.section import Context, Expected, Section, mistake, mistakes
from chargepoint.config.source import Document, Place, Scalar, read, spelled
from chargepoint.config.source import parse as parse_document
from chargepoint.config.wording import nearest
from chargepoint.durations import Start
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.group import station_config
from chargepoint.fleet.plan.shipped import template_config, template_problem
from scenarios.collection import LIBRARY, library_file
from scenarios.condition import Duration, Text
from scenarios.expressions import text_problem
from scenarios.faults import Disturbance
from scenarios.names import Included, Story, strangers
from scenarios.site import SiteEntry
from scenarios.step import Include, Step, Steps

__all__ = [
    "Fragment",
    "Need",
    "Scenario",
    "ScenarioFile",
    "StationEntry",
    "every",
    "fragment_of",
    "load",
    "parse",
    "resolved",
]

Warn = Callable[[str], None]

Need = Literal["csms commands", "own csms", "stepped clock", "wall clock"]

_log = logging.getLogger(__name__)

_ELSEWHERE = {"identity": "`id`", "vehicle": "`vehicle` beside it"}


class StationEntry(Section):
    """One station of a story."""

    id: Text = Field(default="CP001", min_length=1, max_length=255, description="Its identity.")
    template: str | None = Field(
        default=None,
        description="The type of station: a name of `chargepoint fleet templates`, or the path of a file.",
    )
    # A Mapping, not a dict: its scalars stay source text until a station's configuration reads them.
    station: Annotated[Mapping[str, Any], Expected("a group of keys")] = Field(
        default={}, description="Keys of a station's configuration in place of the template's."
    )
    vehicle: Annotated[str | dict[str, Any] | None, Expected("a vehicle's name, or keys of a vehicle")] = (
        Field(default=None, description="What comes to charge where a step does not say.")
    )

    @field_validator("template")
    @classmethod
    def _is_a_template(cls, template: str | None, info: ValidationInfo) -> str | None:
        if template is None:
            return None
        if "/" in template or template.endswith((".yaml", ".yml")):
            folder = info.context.folder if isinstance(info.context, Context) else Path()
            template = str(folder / Path(template).expanduser())
        try:
            wrong = template_problem(template, lambda text: None)
        except ConfigError as error:
            raise mistake(f"has mistakes of its own: {'; '.join(error.problems)}") from None
        if wrong:
            raise mistake(wrong)
        return template

    @field_validator("station")
    @classmethod
    def _fits_the_template(cls, written: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        problems: dict[Place, str] = {
            (key,): f"has a place of its own; write it as {place}"
            for key, place in _ELSEWHERE.items()
            if key in written
        }
        keys = {key: value for key, value in written.items() if key not in _ELSEWHERE}
        context = info.context
        own = Context(context.folder, look_for_files=True) if isinstance(context, Context) else None
        try:
            station_config(template_config(info.data.get("template")), keys, own)
        except ValidationError as error:
            problems |= places(StationConfig, error)
        if problems:
            raise mistakes(problems)
        return written

    def config(self, identity: str, like: StationConfig | None, folder: Path) -> StationConfig:
        """The whole configuration; `like` is used where there is no template. Raises `ConfigError`."""
        changes: dict[str, Any] = {"storage": None, **self.station, "identity": identity}
        if self.vehicle is not None:
            changes["vehicle"] = self.vehicle
        origin = template_config(self.template) if self.template or like is None else like
        try:
            return station_config(origin, changes, Context(folder, look_for_files=True))
        except ValidationError as error:
            found = places(StationConfig, error)
            raise ConfigError(
                [f"{identity}: {spelled(place)}: {text}" for place, text in found.items()]
            ) from None


class CsmsEntry(Section):
    """The embedded central system of a story."""

    interval_s: int = Field(default=86_400, ge=0, description="The heartbeat interval it tells.")
    passwords: dict[str, str] = Field(default={}, description="Who must show a password, and which.")
    first_transaction_id: int = Field(default=1, description="The id of the first transaction.")


class Fragment(Section):
    """What another scenario can include."""

    title: str = Field(default="", max_length=200, description="What it is, in a few words.")
    why: str = Field(default="", description="What it is for, in a sentence.")
    tags: tuple[str, ...] = Field(default=(), description="Words to choose it by.")
    variables: Annotated[dict[str, Any], Expected("names and values")] = Field(
        default={}, description="Names and values for `{name}`."
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="The story.")

    @field_validator("variables")
    @classmethod
    def _have_names(cls, variables: dict[str, Any]) -> dict[str, Any]:
        problems = {
            name: "is no name for a variable; write letters, digits and _"
            for name in variables
            if not name.isidentifier()
        } | {name: wrong for name, value in variables.items() if (wrong := text_problem(value))}
        if problems:
            raise mistakes(problems)
        return variables


class ScenarioFile(Fragment):
    """A whole scenario."""

    title: str = Field(min_length=1, max_length=200, description="What it is, in a few words.")
    start: Start = Field(default=None, description="Station time at the beginning; --start wins; null: now.")
    seed: int = Field(default=0, ge=0, description="The same seed gives the same frames; --seed wins.")
    stations: tuple[StationEntry, ...] = Field(
        default=(StationEntry(),), min_length=1, max_length=1000, description="Who takes part."
    )
    begin: Literal["accepted", "connected", "powered", "off"] = Field(
        default="accepted", description="How far the stations are before the first step."
    )
    csms: CsmsEntry = Field(default=CsmsEntry(), description="The embedded central system.")
    site: SiteEntry | None = Field(default=None, description="The grid connection they share; measured.")
    needs: tuple[Need, ...] = Field(default=(), description="What it cannot do without.")
    background: tuple[Disturbance, ...] = Field(default=(), description="Disturbances from the beginning on.")
    within: Duration = Field(default="366d", description="Station time for the whole story.")

    @field_validator("stations")
    @classmethod
    def _differ(cls, stations: tuple[StationEntry, ...]) -> tuple[StationEntry, ...]:
        seen: dict[str, int] = {}
        problems: dict[Place, str] = {}
        for n, station in enumerate(stations):
            if seen.setdefault(station.id, n) != n:
                problems[n, "id"] = f"{station.id} is the id of an earlier station; write another one"
        if problems:
            raise mistakes(problems)
        return stations


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario ready to run; `name` is how it was addressed, `fragments` what it includes, by path."""

    name: str
    file: ScenarioFile
    path: Path | None = None
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    lines: Mapping[Place, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return self.file.title

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return Path() if self.path is None else self.path.parent

    @property
    def needs(self) -> tuple[str, ...]:
        """What it cannot do without, what its steps show included."""
        found: dict[str, None] = dict.fromkeys(self.file.needs)
        for step in self._every_step():
            if step.csms is not None:
                found["own csms" if step.csms.needs_own else "csms commands"] = None
            if step.disturb is not None:
                found |= dict.fromkeys(step.disturb.needs)
        for disturbance in self.file.background:
            found |= dict.fromkeys(disturbance.needs)
        return tuple(found)

    @property
    def sends(self) -> bool:
        """Some station says what its software knows nothing of."""
        return any(step.send is not None for step in self._every_step())

    def _every_step(self) -> Iterator[Any]:
        for steps in (self.file.steps, *(fragment.steps for fragment in self.fragments.values())):
            yield from every(steps)

    def mentions(self, name: str) -> bool:
        """That variable is among its own, or the word stands in it or in what it includes."""
        word = re.compile(rf"\b{name}\b")
        files = [path for path in (self.path, *map(Path, self.fragments)) if path is not None]
        return name in self.file.variables or any(
            word.search(path.read_text(encoding="utf-8")) is not None for path in files
        )


def every(steps: Steps) -> Iterator[Any]:
    """All steps, those within steps included."""
    for step in steps:
        yield step
        for inner in (step.repeat, step.group):
            if inner is not None:
                yield from every(inner.steps)
        for branch in (*(step.parallel or ()), step.then or (), step.else_ or ()):
            yield from every(branch)


def load(name: Path | str, warn: Warn = _log.warning, given: Collection[str] | None = ()) -> Scenario:
    """Read a scenario: a path, or `library:NAME`. Relative paths in it begin at its folder.

    `given` are the names of variables that have values already, whether it declares them or not; None: no
    name is judged.
    Raises `ConfigError` with every mistake, those in included files too; a syntax error or a duplicate key
    ends the reading of its file at the first.
    """
    path = resolved(name, Path())
    return _bind(str(name), path, read(path), warn, given)


def parse(
    text: str,
    name: str = "scenario",
    folder: Path = Path(),
    warn: Warn = _log.warning,
    given: Collection[str] | None = (),
) -> Scenario:
    """The same from YAML text; `name` stands for the file in messages."""
    document = parse_document(text, name)
    return _bind(name, folder / name, document, warn, given)


def resolved(name: Path | str, folder: Path) -> Path:
    """The file that a name or a path from `folder` means. Raises `ConfigError` for an unknown name."""
    text = str(name)
    if text.startswith(LIBRARY):
        return library_file(text.removeprefix(LIBRARY))
    return folder / Path(text).expanduser()


def _bind(name: str, path: Path, document: Document, warn: Warn, given: Collection[str] | None) -> Scenario:
    context = Context(path.parent, look_for_files=True)
    problems: list[str] = []
    fragments: dict[str, Fragment] = {}
    documents: dict[str, tuple[Document, Path]] = {}
    _gather(document, path, (path.resolve(),), fragments, problems, documents)
    problems += _strangers(document)
    if given is not None:
        problems += strangers(Story(document, _finder(document, path, documents), given))
    try:
        file = ScenarioFile.model_validate(dict(document.tree), context=context)
    except ValidationError as error:
        own = in_order(places(ScenarioFile, error), document, columns=True)
        raise ConfigError(_by_line([*own, *problems], document.name)) from None
    if problems:
        raise ConfigError(_by_line(problems, document.name))
    for place, text in context.warnings.items():
        warn(f"{document.name}:{document.line(place)}: {spelled(place)}: {text}")
    return Scenario(name, file, path, fragments, document.lines)


def _by_line(problems: Sequence[str], name: str) -> list[str]:
    """As a person meets them in the file; those of included files stay behind the one before them."""
    place = re.compile(rf"{re.escape(name)}:(\d+):(\d+):")
    at = (0, 0)
    placed = []
    for problem in problems:
        if found := place.match(problem):
            at = int(found[1]), int(found[2])
        placed.append((at, problem))
    return [problem for _, problem in sorted(placed, key=lambda entry: entry[0])]


def _finder(document: Document, path: Path, documents: Mapping[str, tuple[Document, Path]]) -> Included:
    """Which document an include means, of those that were read."""
    folders = {document.name: path.parent, **{inner.name: other for inner, other in documents.values()}}

    def included(here: Document, file: str) -> Document | None:
        try:
            key = str(resolved(file, folders[here.name]).resolve())
        except ConfigError:
            return None
        return documents[key][0] if key in documents else None

    return included


def _gather(
    document: Document,
    path: Path,
    above: tuple[Path, ...],
    found: dict[str, Fragment],
    problems: list[str],
    documents: dict[str, tuple[Document, Path]],
) -> None:
    """Read what a file includes, and what that includes; `found` and `documents` are by resolved path."""
    for place, file in _includes(document.tree, ()):
        where = f"{document.name}:{document.line(place)}:{document.column(place)}: {spelled(place)}: "
        try:
            other = resolved(file, path.parent)
            if other.resolve() in above:
                problems.append(f"{where}includes {file}, which includes this again; take one of them out")
                continue
            key = str(other.resolve())
            if key in found:
                continue
            inner = read(other)
        except ConfigError as error:
            problems.extend(where + problem for problem in error.problems)
            continue
        documents[key] = (inner, other.parent)
        try:
            found[key] = Fragment.model_validate(dict(inner.tree), context=Context(other.parent))
        except ValidationError as error:
            problems.extend(in_order(places(Fragment, error), inner, columns=True))
        _gather(inner, other, (*above, other.resolve()), found, problems, documents)


def _strangers(document: Document) -> Iterator[str]:
    """Steps at stations that the file does not have."""
    listed = document.tree.get("stations", [{}])
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    known = [str(entry.get("id", StationEntry().id)) for entry in entries]
    if not known or any("{" in name for name in known):
        return
    for place, step in _written_steps(document.tree, ()):
        at = step.get("at")
        if isinstance(at, Scalar) and "{" not in at and at not in known:
            own = (*place, "at")
            where = f"{document.name}:{document.line(own)}:{document.column(own)}: {spelled(own)}: "
            yield f"{where}there is no station {at}; {nearest(at, known)}"


def _written_steps(tree: Any, place: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every step of a file, right or wrong."""
    if isinstance(tree, list):
        for n, item in enumerate(tree):
            if isinstance(item, Mapping) and place and place[-1] not in ("stations", "background"):
                yield (*place, n), item
            yield from _written_steps(item, (*place, n))
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            if key in ("steps", "then", "else", "parallel", "repeat", "group"):
                yield from _written_steps(item, (*place, key))


def _includes(tree: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(tree, list):
        for n, item in enumerate(tree):
            yield from _includes(item, (*place, n))
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            if key == "include":
                file = item.get("file") if isinstance(item, Mapping) else item
                if isinstance(file, Scalar) and file:
                    yield (*place, key), str(file)
            elif key in ("steps", "then", "else", "parallel", "repeat", "group"):
                yield from _includes(item, (*place, key))


def fragment_of(scenario: Scenario, include: Include, folder: Path) -> tuple[Fragment, Path]:
    """What an include step means, seen from a file in `folder`; and the folder of that file."""
    path = resolved(include.file, folder)
    return scenario.fragments[str(path.resolve())], path.parent
