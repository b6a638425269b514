"""Expressions in a scenario: arithmetic and comparisons over known names, and nothing beyond."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from chargepoint.config.wording import nearest
from chargepoint.durations import seconds
from chargepoint.ocpp16.times import format_time, parse_time

__all__ = [
    "ExpressionError", "Scope", "evaluate", "filled", "found", "names_between_braces", "names_of", "problem",
    "text_problem",
]  # fmt: skip

Scope = Mapping[str, Any]
"""The names an expression may use."""

_MOST_CHARACTERS = 2000
_MOST_DEEP = 50
_LONGEST = 100_000
_HUGE = 1e18

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, group: item in group,
    ast.NotIn: lambda item, group: item not in group,
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}


class ExpressionError(Exception):
    """An expression that cannot be read, or has no value; the text says why."""


def problem(text: str) -> str | None:
    """What is wrong with an expression, as far as it shows before its names are known."""
    try:
        _parsed(text)
    except ExpressionError as error:
        return str(error)
    return None


def text_problem(value: Any) -> str | None:
    """What is wrong with the braces in a text, or in the texts of a group or list."""
    if isinstance(value, Mapping):
        return next((wrong for item in value.values() if (wrong := text_problem(item))), None)
    if isinstance(value, list | tuple):
        return next((wrong for item in value if (wrong := text_problem(item))), None)
    if not isinstance(value, str):
        return None
    try:
        return next((wrong for part in _parts(value) if part[1] and (wrong := problem(part[0]))), None)
    except ExpressionError as error:
        return str(error)


def names_of(expression: str) -> tuple[str, ...]:
    """The names that an expression needs, functions and constants aside; none if it cannot be read."""
    try:
        tree = _parsed(expression)
    except ExpressionError:
        return ()
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in functions]
    return tuple(name for name in dict.fromkeys(names) if name.lower() not in _CONSTANTS)


def names_between_braces(text: str) -> tuple[str, ...]:
    """The names that a text needs; none if its braces cannot be read."""
    if "{" not in text:
        return ()
    try:
        expressions = [part for part, is_expression in _parts(text) if is_expression]
    except ExpressionError:
        return ()
    return tuple(name for expression in expressions for name in names_of(expression))


def evaluate(text: str, scope: Scope) -> Any:
    """The value of an expression. Raises `ExpressionError`."""
    tree = _parsed(text)
    try:
        return _value(tree, scope)
    except ExpressionError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, re.error) as error:
        raise ExpressionError(f"{text}: {error}") from None


def filled(value: Any, scope: Scope) -> Any:
    """`value` with what stands between braces worked out; a text that is one pair of braces keeps its kind.

    Raises `ExpressionError`.
    """
    if isinstance(value, Mapping):
        return {filled(key, scope): filled(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, scope) for item in value]
    if not isinstance(value, str) or ("{" not in value and "}" not in value):
        return value
    parts = list(_parts(value))
    if len(parts) == 1 and parts[0][1]:
        return evaluate(parts[0][0], scope)
    return "".join(_shown(evaluate(part, scope)) if is_expression else part for part, is_expression in parts)


def found(path: str, document: Any) -> Any:
    """What a JMESPath finds in `document`. Raises `ExpressionError`."""
    try:
        return jmespath.search(path, document)
    except JMESPathError as error:
        raise ExpressionError(f"{path}: {str(error).splitlines()[0]}") from None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ast.expr:
    if len(text) > _MOST_CHARACTERS:
        raise ExpressionError(f"is longer than {_MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise ExpressionError(f"{text!r} is no expression ({reason})") from None
    _check(tree, 0)
    return tree


def _check(node: ast.AST, depth: int) -> None:
    """Only what `_value` can work out."""
    if depth > _MOST_DEEP:
        raise ExpressionError("is nested too deeply")
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ExpressionError("only the functions of an expression can be called, without keywords")
        if node.func.id not in _FUNCTIONS:
            raise ExpressionError(f"{node.func.id} is no function; {nearest(node.func.id, _FUNCTIONS)}")
    elif not isinstance(node, _ALLOWED):
        raise ExpressionError(f"{type(node).__name__} has no place in an expression")
    elif isinstance(node, ast.BinOp) and type(node.op) not in _BINARY:
        raise ExpressionError(f"{type(node.op).__name__} has no place in an expression")
    elif isinstance(node, ast.Constant) and isinstance(node.value, bytes | complex | type(...)):
        raise ExpressionError(f"{node.value!r} has no place in an expression")
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.operator | ast.unaryop | ast.cmpop | ast.boolop | ast.expr_context):
            _check(child, depth + 1)


_ALLOWED = (
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Constant, ast.Name, ast.Attribute,
    ast.Subscript, ast.List, ast.Tuple,
)  # fmt: skip


def _value(node: ast.expr, scope: Scope) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _named(name, scope)
        case ast.Attribute(value=inner, attr=name):
            return _member(_value(inner, scope), name)
        case ast.Subscript(value=inner, slice=index):
            return _value(inner, scope)[_value(index, scope)]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, scope) for item in items]
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, scope) for value in values)
        case ast.BoolOp(values=values):
            return any(_value(value, scope) for value in values)
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, scope))
        case ast.BinOp(left=left, op=op, right=right):
            return _bounded(_BINARY[type(op)], _value(left, scope), _value(right, scope))
        case ast.Compare():
            return _compared(node, scope)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, scope) else other, scope)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            given = [_value(argument, scope) for argument in arguments]
            return _measured(scope, *given) if name == "measured" else _FUNCTIONS[name](*given)
    raise ExpressionError(f"{type(node).__name__} has no place in an expression")


def _named(name: str, scope: Scope) -> Any:
    if name in scope:
        return scope[name]
    if name.lower() in _CONSTANTS:
        return _CONSTANTS[name.lower()]
    raise ExpressionError(f"{name} is not known here; {nearest(name, scope)}")


def _member(value: Any, name: str) -> Any:
    """A key of a payload, null if it is missing; never an attribute of a Python object."""
    if value is None or isinstance(value, Mapping):
        return None if value is None else value.get(name)
    raise ExpressionError(f"{_shown(value)} has no {name}")


def _bounded(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Nothing that could fill the memory: `"a" * 10 ** 9`, `"%999999999d" % 1`."""
    if operation is operator.mul and not all(isinstance(side, int | float) for side in (left, right)):
        raise ExpressionError("only numbers can be multiplied")
    if operation is operator.mod and isinstance(left, str):
        raise ExpressionError("only numbers have a remainder")
    result = operation(left, right)
    if isinstance(result, int) and abs(result) > _HUGE:
        raise ExpressionError("the number is too great")
    if isinstance(result, str | list) and len(result) > _LONGEST:
        raise ExpressionError("the text is too long")
    return result


def _compared(node: ast.Compare, scope: Scope) -> bool:
    left = _value(node.left, scope)
    for op, expression in zip(node.ops, node.comparators, strict=True):
        right = _value(expression, scope)
        ordered = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        if ordered and (left is None or right is None):
            return False  # nothing is neither more nor less than anything
        if not _COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def _moment(at: float) -> str:
    return format_time(float(at))


def _seconds(value: Any) -> float:
    """Of a length of time such as 1h30m, or of a moment since the epoch."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return parse_time(str(value))
    except ValueError:
        return seconds(str(value))


def _of_day(value: Any) -> float:
    """Seconds since midnight, UTC."""
    moment = datetime.fromtimestamp(_seconds(value), UTC)
    return moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6


def _matches(text: Any, pattern: str) -> bool:
    return re.search(pattern, str(text)) is not None


def _measured(
    scope: Scope, measurand: str = "Energy.Active.Import.Register", phase: str | None = None
) -> Any:
    """The newest value of that measurand in a matched MeterValues or StopTransaction, or null."""
    request = scope.get("request") or {}
    values = request.get("meterValue") or request.get("transactionData") or []
    newest = None
    for entry in values:
        for sample in entry.get("sampledValue", ()):
            named = sample.get("measurand", "Energy.Active.Import.Register")
            if named == measurand and sample.get("phase") == phase:
                factor = 1000.0 if str(sample.get("unit", "")).startswith("k") else 1.0
                newest = float(sample["value"]) * factor
    return newest


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "all": all,
    "any": any,
    "float": float,
    "int": int,
    "jmespath": found,
    "len": len,
    "lower": lambda text: str(text).lower(),
    "matches": _matches,
    "max": max,
    "measured": _measured,
    "min": min,
    "moment": _moment,
    "of_day": _of_day,
    "path": found,
    "round": round,
    "seconds": _seconds,
    "str": str,
    "sum": sum,
}


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, and of each whether it stood between braces; `{{` and `}}` are braces."""
    plain, position = "", 0
    while position < len(text):
        here = text[position]
        if text[position : position + 2] in ("{{", "}}"):
            plain += here
            position += 2
        elif here == "{":
            end = _closing(text, position)
            if plain:
                yield plain, False
            yield text[position + 1 : end], True
            plain, position = "", end + 1
        else:
            plain += here
            position += 1
    if plain:
        yield plain, False


def _closing(text: str, opening: int) -> int:
    quote = ""
    for position in range(opening + 1, len(text)):
        here = text[position]
        if quote:
            quote = "" if here == quote else quote
        elif here in "'\"":
            quote = here
        elif here == "}":
            return position
    raise ExpressionError(f"{text!r} has a brace that is not closed; write {{{{ for a brace")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "null" if value is None else str(value)
