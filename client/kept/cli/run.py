"""The core of the command line: words, a `Caller` and a `Surface` in, an exit code out. The one place that tells
refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..version import VERSION
from ..wire.errors import KeptError
from .help import about as help_about
from .hints import as_commands, hint_of
from .parse import HelpWanted, parse
from .registry import domains, find
from .surface import FINE, REFUSED, USAGE, Caller, Surface, UsageError
from .text import as_json, clean


def run(argv: Sequence[str], call: Caller, surface: Surface) -> int:
    """Run a command line (without the program's name); the exit code.

    Raises `NeedsCaller` in the daemon for what only the caller's process can do, before anything was done. Errors of
    the connection itself, and faults, pass through.
    """
    # An error is told as JSON also where the words could not be read to their end.
    surface = replace(surface, json=surface.json or "--json" in before_arguments(argv))
    words = in_order(argv)
    try:
        return _run(words, call, surface)
    except UsageError as refusal:
        hint = refusal.hint if words[:1] == ["rpc"] else as_commands(refusal.hint)
        tell(surface, refusal.message, hint, {"type": "usage"})
        return USAGE
    except KeptError as refusal:
        return tell_refusal(surface, refusal, words)


def _run(words: Sequence[str], call: Caller, surface: Surface) -> int:
    if not words or words[0] in {"--help", "-h"} or (words[0] in domains() and words[1:2] in (["--help"], ["-h"])):
        surface.out(help_about(words[:1] if words and words[0] in domains() else (), surface.columns))
        return FINE if words else USAGE
    if words[0] == "--version":
        surface.line(f"kept {VERSION}")
        return FINE
    command, rest = find(words)
    try:
        wanted, surface = parse(command, rest, surface, call)
    except HelpWanted:
        surface.out(help_about(command.words, surface.columns))
        return FINE
    return command.run(wanted, call, surface)


def before_arguments(argv: Sequence[str]) -> Sequence[str]:
    """The words before `--`: those that can be options."""
    return argv[: argv.index("--")] if "--" in argv else argv


def in_order(argv: Sequence[str]) -> list[str]:
    """The words with those options that stand before the command moved behind it."""
    words = list(argv)
    moved: list[str] = []
    while words and words[0].partition("=")[0] in {"--json", "--no-start", "--socket", "--colour"}:
        word = words.pop(0)
        moved.append(f"{word}={words.pop(0)}" if words and word in {"--socket", "--colour"} else word)
    end = len(before_arguments(words))
    return [*words[:end], *moved, *words[end:]] if words else []


def tell(surface: Surface, message: str, hint: str, data: dict[str, object]) -> None:
    """A refusal on the error stream: a line and a hint, or one JSON document."""
    if surface.json:
        code = data.pop("code", None)
        error: dict[str, object] = {"message": message, "data": {**data, "hint": hint}}
        surface.err(as_json({"error": {"code": code, **error} if code is not None else error}, 0) + "\n")
        return
    surface.err(f"kept: {clean(message)}\n")
    if hint:
        surface.err(f"hint: {clean(hint)}\n")


def tell_refusal(surface: Surface, refusal: KeptError, words: Sequence[str]) -> int:
    """What the daemon refused to the command that `words` begin with; the exit code."""
    try:
        hint = hint_of(refusal, find(words)[0])
    except UsageError:
        hint = refusal.hint
    tell(surface, refusal.message, hint, {"code": refusal.code, "type": refusal.type, **refusal.data})
    return REFUSED
