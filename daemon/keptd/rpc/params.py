"""Parameters: bytes to a call, and a refusal that names the field, the limit and the next step, but never the value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Raw

from kept.wire import Call, Write
from kept.wire.errors import InvalidParams, KeptError, TooLarge

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_INSIDE = re.compile(r"\[\.\.\.\].*", re.DOTALL)
"""Inside of a value typed any, whose names are the caller's own."""

_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_PLAIN_NAME = re.compile(r"[a-z_]{1,40}")


class Params:
    """Decodes the parameters of one call."""

    def __init__(self, call: type[Call[Any]]) -> None:
        self._call = call
        self._decode: Callable[[bytes | Raw], Call[Any]] = msgspec.json.Decoder(call).decode

    def decode(self, raw: Raw) -> Call[Any]:
        """The call. Raises `InvalidParams`."""
        try:
            return self._decode(raw or b"{}")
        except msgspec.ValidationError as refusal:
            raise self._explain(str(refusal)) from None
        except RecursionError:
            raise TooLarge("the parameters nest too deeply") from None

    def _explain(self, reason: str) -> KeptError:
        names = _own_first(self._call.__struct_fields__)
        path, reason = place_of(reason)
        if reason.startswith("Expected `object`, got `array`") and not path:
            return InvalidParams(
                f"{self._call.method} takes its parameters by name, not by position",
                hint=f"Send an object: {_list(names)}.",
            )
        if unknown := _UNKNOWN.match(reason):
            name = unknown["name"]
            shown = f" {name}" if _PLAIN_NAME.fullmatch(name) else ""
            close = difflib.get_close_matches(name[:40], names, 1)
            hint = f"Did you mean {close[0]}?" if close else f"{self._call.method} takes {_list(names)}."
            return _refusal(f"{self._call.method} has no parameter{shown}", shown.strip(), hint)
        if missing := _MISSING.match(reason):
            field = f"{path}.{missing['name']}".lstrip(".")
            return _refusal(f"{field} is required", field, f"{self._call.method} takes {_list(names)}.")
        return _refusal(f"{path or 'params'}: {in_words(reason, get_type_hints(self._call).get(path))}", path)


def place_of(refusal: str) -> tuple[str, str]:
    """The place in the parameters that a decoder's refusal names, and its reason. The place ends before names that the
    caller made."""
    found = _PATH.search(refusal)
    return _INSIDE.sub("", found["path"]) if found else "", _PATH.sub("", refusal)


def in_words(reason: str, expected: Any = None) -> str:
    """A decoder's reason as part of a sentence, without the value, and the regular expression that tells people least.

    `expected` is the type of the field: one with a few words to choose from gives them.
    """
    if reason.startswith("Invalid enum value"):
        choices = _choices(expected)
        reason = f"Expected one of {_list(choices)}" if choices else "Expected another value"
    if "matching regex" in reason and "0000" in reason:
        # Names have no control characters at all; prose has line feeds and whatever else a program wrote.
        reason = f"Expected text without {'control characters' if '001f' in reason else 'NUL (U+0000)'}"
    return f"{reason[:1].lower()}{reason[1:]}".replace("`", "")


def _refusal(message: str, field: str, hint: str | None = None) -> InvalidParams:
    return InvalidParams(message, hint=hint, field=field) if field else InvalidParams(message, hint=hint)


def _own_first(names: Iterable[str]) -> tuple[str, ...]:
    """What every write takes comes last."""
    return tuple(sorted(names, key=Write.__struct_fields__.__contains__))


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "no parameters"


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return tuple(str(choice) for choice in get_args(hint))
    return next((found for inner in get_args(hint) if (found := _choices(inner))), ())
