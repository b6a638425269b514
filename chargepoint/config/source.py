"""YAML 1.2 as source text with line numbers: what a scalar means is decided by the field that it fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from chargepoint.errors import ConfigError

__all__ = ["Document", "Place", "Scalar", "parse", "read", "spelled"]

Place = tuple[str | int, ...]
"""Where something stands in a document: keys and positions from the top."""

_NULL = "tag:yaml.org,2002:null"
_STANDARD_TAG = "tag:yaml.org,2002:"
_MOST_NODES = 200_000  # aliases of aliases multiply


class Scalar(str):
    """The source text of one scalar; `null` if it stands for nothing (`null`, `~` or empty, unquoted)."""

    __slots__ = ("null",)

    null: bool

    def __new__(cls, text: str, null: bool = False) -> Scalar:
        """`text` as it was written, without its quotes."""
        scalar = super().__new__(cls, text)
        scalar.null = null
        return scalar


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its tree of dicts, lists and `Scalar`s, and the line and column of each place (from 1)."""

    name: str
    tree: Mapping[str, Any]
    lines: Mapping[Place, int]
    columns: Mapping[Place, int] = field(default_factory=dict)

    def place(self, location: Place) -> Place:
        """The innermost place of `location` that was written in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return location

    def line(self, location: Place) -> int:
        """The line of `location`, or of what surrounds it."""
        return self.lines.get(self.place(location), 1)

    def column(self, location: Place) -> int:
        """The column of `location`, or of what surrounds it."""
        return self.columns.get(self.place(location), 1)


def read(path: Path) -> Document:
    """Read a file. Raises `ConfigError` if it is missing, not UTF-8 or not YAML, or has a duplicate key."""
    try:
        return parse(path.read_bytes().decode("utf-8-sig"), str(path))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); check the path"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8 text; save the file in UTF-8"]) from None


def parse(text: str, name: str) -> Document:
    """Read YAML text; `name` stands for the file in messages. Raises `ConfigError` like `read`."""
    lines: dict[Place, int] = {}
    columns: dict[Place, int] = {}
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        tree = {} if root is None else _Builder(name, lines, columns).build(root, ())
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([f"{name}:{line}: holds a character that YAML forbids; remove it"]) from None
    except MarkedYAMLError as error:
        raise ConfigError([_syntax_error(error, name)]) from None
    except RecursionError:
        raise ConfigError([f"{name}: is nested too deeply; write it flatter"]) from None
    except YAMLError as error:
        raise ConfigError([f"{name}: is not YAML ({error}); correct it"]) from None
    if isinstance(tree, Scalar) and tree.null:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError([f"{name}:1: is not a group of keys; write lines of the form `key: value`"])
    return Document(name, tree, lines, columns)


def spelled(place: Place) -> str:
    """A place as a person writes it: `connectors[0].max_current_a`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


class _Builder:
    """Turns composed nodes into a tree and notes the line and column of each place."""

    __slots__ = ("_columns", "_left", "_lines", "_name", "_open")

    def __init__(self, name: str, lines: dict[Place, int], columns: dict[Place, int]) -> None:
        self._name = name
        self._lines = lines
        self._columns = columns
        self._left = _MOST_NODES
        self._open: set[int] = set()

    def build(self, node: Node, place: Place) -> Any:
        """The value of `node`, which stands at `place`."""
        self._left -= 1
        if id(node) in self._open or self._left < 0:
            raise self._problem(node, place, "repeats itself without end; write the value out")
        if not str(node.tag).startswith(_STANDARD_TAG):
            raise self._problem(node, place, f"has the tag {node.tag}, which means nothing here; remove it")
        if isinstance(node, ScalarNode):
            # ruamel marks with a bell where it folded lines, in order to fold them so again.
            return Scalar(str(node.value).replace("\a", ""), str(node.tag) == _NULL)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return dict(self._pairs(node, place))
            return [self._item(item, (*place, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _item(self, node: Node, place: Place) -> Any:
        self._lines[place] = node.start_mark.line + 1
        self._columns[place] = node.start_mark.column + 1
        return self.build(node, place)

    def _pairs(self, node: MappingNode, place: Place) -> Iterator[tuple[str, Any]]:
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise self._problem(key, place, "has a list or group as a key; write text before the colon")
            line = key.start_mark.line + 1
            if key.value in first:
                before = first[key.value]
                raise self._problem(
                    key, (*place, key.value), f"is written twice (first in line {before}); keep one"
                )
            first[key.value] = line
            self._lines[*place, key.value] = line
            self._columns[*place, key.value] = key.start_mark.column + 1
            yield key.value, self.build(value, (*place, key.value))

    def _problem(self, node: Node, place: Place, text: str) -> ConfigError:
        where = f"{self._name}:{node.start_mark.line + 1}: "
        return ConfigError([where + (f"{spelled(place)}: " if place else "") + text])


def _syntax_error(error: MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}" if mark else name
    problem = str(error.problem or error.context or "it cannot be read").strip()
    if "\\t" in problem:
        return f"{where}: begins with a tab; indent with spaces"
    context = f" {error.context}" if error.problem and error.context else ""
    return f"{where}: is not YAML ({problem}{context}); check indentation, brackets and quotes"
