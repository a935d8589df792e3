"""Parameters: bytes to a call, and a refusal that names the field, the limit and the next step, but never the value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Raw

from kept.wire import Call
from kept.wire.errors import InvalidParams, KeptError, TooLarge

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
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
        names = self._call.__struct_fields__
        found = _PATH.search(reason)
        path = found["path"] if found else ""
        reason = _PATH.sub("", reason)
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
            return InvalidParams(f"{self._call.method} has no parameter{shown}", hint=hint, field=shown.strip() or None)
        if missing := _MISSING.match(reason):
            field = f"{path}.{missing['name']}".lstrip(".")
            return InvalidParams(f"{field} is required", hint=f"{self._call.method} takes {_list(names)}.", field=field)
        if reason.startswith("Invalid enum value"):
            choices = _choices(get_type_hints(self._call).get(path))
            reason = f"Expected one of {_list(choices)}" if choices else "Expected another value"
        if "matching regex" in reason:
            reason = "Expected text without control characters" if "0000" in reason else "Expected another form of text"
        return InvalidParams(
            f"{path or 'params'}: {reason[:1].lower()}{reason[1:]}".replace("`", ""), field=path or None
        )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "no parameters"


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return tuple(str(choice) for choice in get_args(hint))
    return next((found for inner in get_args(hint) if (found := _choices(inner))), ())
