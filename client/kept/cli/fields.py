"""A field of a request class as an argument of the command line: its option, its kind, its limits, and how text
becomes its value.

Everything is read from the class's types and their `Meta`. Refuses a type that has no form as text, when the command
is built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import NODEFAULT, Struct, inspect

from ..frames import DEPTH, too_deep
from ..wire import Write
from .surface import UsageError

Kind = Literal["text", "number", "fraction", "flag", "choice", "time", "any"]

VALUE_DEPTH = DEPTH - 2
"""The message and its params take two levels of what a message may nest."""

_EVERY_WRITE = frozenset(Write.__struct_fields__)
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FRACTION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")
_SPAN = re.compile(r"(?P<ahead>\+|in )?(?P<count>[0-9]{1,6}) ?(?P<unit>[smhdw])(?P<ago> ago)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Field:
    """One argument. `limits` tells its range in words; `many` that it is a tuple and may be repeated."""

    name: str
    kind: Kind
    required: bool
    many: bool
    default: Any
    choices: Mapping[str, Any]
    help: str
    limits: str
    secret: bool = False
    """Whether it never stands in a command line: its option names a descriptor to read it from."""
    is_new: bool = False
    """Whether it is a new password."""

    @property
    def option(self) -> str:
        """`--name-like-this`; `--name-fd` for a secret."""
        return "--" + self.name.replace("_", "-") + ("-fd" if self.secret else "")

    @property
    def label(self) -> str:
        """What stands for its value in a usage line."""
        return self.name.upper().replace("_", "-")

    @property
    def every_write(self) -> bool:
        """Whether all writes have it, so that help can tell it apart."""
        return self.name in _EVERY_WRITE

    def read(self, text: str, now: datetime) -> Any:
        """The value that `text` gives, before its range is checked. Raises `UsageError`, which never holds the text."""
        if self.kind == "number":
            if not _INTEGER.fullmatch(text):
                raise UsageError(f"{self.label} must be a whole number{_in_brackets(self.limits)}")
            return int(text)
        if self.kind == "fraction":
            if not _FRACTION.fullmatch(text):
                raise UsageError(f"{self.label} must be a number{_in_brackets(self.limits)}")
            return float(text)
        if self.kind == "choice":
            if text not in self.choices:
                raise UsageError(f"{self.label} must be one of {', '.join(self.choices)}")
            return self.choices[text]
        if self.kind == "time":
            return _time(self, text, now)
        return read_value(text) if self.kind == "any" else text


def read_value(text: str) -> Any:
    """JSON where `text` parses as JSON, else the text itself.

    A number is one only where it is written as JSON writes it back: `1.10` and `1234e5` may be a version and a commit,
    and stay text. Raises `UsageError` for JSON that nests deeper than a message may, or has a name twice in one object,
    of which one value would be lost.
    """
    encoded = text.encode()
    try:
        value = msgspec.json.decode(encoded)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        raise _too_deep() from None
    if too_deep(encoded, VALUE_DEPTH):
        raise _too_deep()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value if msgspec.json.encode(value) == encoded else text
    if isinstance(value, (dict, list)):
        json.loads(text, object_pairs_hook=_without_doubles, parse_int=str, parse_float=str)
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise UsageError("the JSON has a name twice in one object", "Only one of the two values could be kept.")


def _too_deep() -> UsageError:
    return UsageError("the JSON is nested too deeply", f"A value may nest {VALUE_DEPTH} deep.")


@cache
def fields_of(params: type[Struct]) -> tuple[Field, ...]:
    """The arguments of a request class, in the order of its fields. Raises `TypeError` for a type without a form as
    text."""
    described = inspect.type_info(params)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{params.__name__} is no Struct")
    return tuple(_field(params, each) for each in described.fields)


def _field(params: type[Struct], each: inspect.Field) -> Field:
    kind, help_text = _unwrap(each.type)
    many = isinstance(kind, (inspect.VarTupleType, inspect.ListType))
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        kind, inner_help = _unwrap(kind.item_type)
        help_text = help_text or inner_help
    choices: dict[str, Any] = {}
    if isinstance(kind, inspect.LiteralType):
        choices = {str(value): value for value in kind.values}
    elif isinstance(kind, inspect.BoolType) and each.required:
        choices = {"true": True, "false": False}
    return Field(
        name=each.encode_name,
        kind=_kind(params, each, kind),
        required=each.required,
        many=many,
        default=None if each.default is NODEFAULT else each.default,
        choices=choices,
        help=help_text,
        limits=_limits(kind),
        **_secrecy(each.type),
    )


def _secrecy(kind: inspect.Type) -> dict[str, bool]:
    """What the `extra` of the type's `Meta` says."""
    told: dict[Any, Any] = {}
    while isinstance(kind, inspect.Metadata):
        told |= kind.extra or {}
        kind = kind.type
    return {"secret": bool(told.get("secret")), "is_new": bool(told.get("new"))}


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type without its wrappers and without None, and its description."""
    help_text = ""
    while isinstance(kind, (inspect.Metadata, inspect.UnionType)):
        if isinstance(kind, inspect.Metadata):
            help_text = help_text or str((kind.extra_json_schema or {}).get("description", ""))
            kind = kind.type
            continue
        others = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if len(others) != 1:
            break
        kind = others[0]
    return kind, help_text


def _kind(params: type[Struct], each: inspect.Field, kind: inspect.Type) -> Kind:
    if isinstance(kind, inspect.BoolType):
        return "choice" if each.required else "flag"
    if isinstance(kind, inspect.StrType):
        return "text"
    if isinstance(kind, inspect.IntType):
        return "number"
    if isinstance(kind, inspect.FloatType):
        return "fraction"
    if isinstance(kind, inspect.LiteralType):
        return "choice"
    if isinstance(kind, inspect.DateTimeType):
        return "time"
    if isinstance(kind, (inspect.AnyType, inspect.DictType, inspect.StructType, inspect.UnionType)):
        return "any"
    raise TypeError(f"{params.__name__}.{each.name}: {type(kind).__name__} has no form on the command line")


def _limits(kind: inspect.Type) -> str:
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        return _range(kind.ge, kind.le, "")
    if isinstance(kind, inspect.StrType):
        return _range(kind.min_length, kind.max_length, " characters")
    return ""


def _range(low: float | None, high: float | None, unit: str) -> str:
    if high is None:
        return f"at least {low:,}{unit}" if low is not None else ""
    return f"{low:,} to {high:,}{unit}" if low is not None else f"at most {high:,}{unit}"


def _in_brackets(limits: str) -> str:
    return f" ({limits})" if limits else ""


def _time(field: Field, text: str, now: datetime) -> datetime:
    """A time as RFC 3339; a date, which is its midnight UTC; or a span from now (`2h ago`, `+3d`). A span without
    direction is taken only by `since`, where it can only mean the past."""
    span = _SPAN.fullmatch(text)
    if span and not (span["ahead"] and span["ago"]):
        if span["ahead"] or span["ago"] or field.name == "since":
            distance = timedelta(**{_UNITS[span["unit"]]: int(span["count"])})
            return _shift(field, now, distance if span["ahead"] else -distance)
        raise UsageError(f"{field.label} needs a direction", "Write +2h for two hours ahead, or '2h ago'.")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or (found.tzinfo is None and not _DATE.fullmatch(text)):
        raise UsageError(
            f"{field.label} must be a time with its zone (RFC 3339), a date, or a span",
            "For example 2026-01-31T12:00:00Z, 2026-01-31, '2h ago' or +3d.",
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _shift(field: Field, now: datetime, distance: timedelta) -> datetime:
    try:
        return now + distance
    except OverflowError:
        raise UsageError(f"{field.label} is too far from now") from None
