"""The next step after a refusal, in the words of the command line: refusals name parameters as the wire does."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..wire.catalog import calls
from ..wire.errors import InvalidParams, KeptError
from .fields import Field
from .parse import Command

_METHOD = re.compile(r"(?<![\w.-])[a-z]+\.[a-z_]+(?!\w|[.-]\w)")
_PARAMETER = re.compile(r'(?<![\w.-])(?P<name>[a-z][a-z_]*)(?:=(?P<quote>"?)(?P<value>[\w-]+)(?P=quote))?(?!\w|[.-]\w)')

_EVERY_DAY = {"session.list": "session ls"}
"""Commands that show people the same as a method, and more."""


def hint_of(refusal: KeptError, command: Command) -> str:
    """The hint of what was refused to `command`."""
    if isinstance(refusal, InvalidParams) and refusal.hint == InvalidParams.default_hint:
        return f"kept {command.name} --help describes the arguments."
    if command.words == ("rpc",):
        return refusal.hint
    return as_commands(as_options(refusal.hint, command.fields))


def as_commands(text: str) -> str:
    """`text` with each method as its command: `backup.list` becomes `kept backup list`."""

    def command(found: re.Match[str]) -> str:
        if found[0] not in calls():
            return found[0]
        return f"kept {_EVERY_DAY.get(found[0], found[0].replace('.', ' ').replace('_', '-'))}"

    return _METHOD.sub(command, text)


def as_options(text: str, fields: Iterable[Field]) -> str:
    """`text` with the parameters among `fields` as options: `on_secret="redact"` becomes `--on-secret redact`.

    A name alone is taken for a parameter only where it can't be an English word, by its underscore.
    """
    known = {field.name: field for field in fields}

    def option(found: re.Match[str]) -> str:
        field, value = known.get(found["name"]), found["value"]
        if field is None or (value is None and "_" not in field.name):
            return found[0]
        if value is None:
            return field.option
        if field.kind == "flag":
            return f"--no-{field.option[2:]}" if value == "false" else field.option
        return f"{field.option} {value}"

    return _PARAMETER.sub(option, text)
