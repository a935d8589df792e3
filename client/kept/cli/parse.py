"""Words to parameters: what a command is, and how its arguments are read.

Written by hand, and small, because of three rules that argparse doesn't keep: a parser is shared by the daemon's
threads, so it may not change while it reads; arguments and options may be mixed, in the same way on every Python;
and nothing but `run` decides about output and exit codes.

A secret is never among the words: `--name-fd N` names a descriptor that it is read from, `-` standard input, and what
is not given so is asked for, when all else was found to be right.

Rules: `--name VALUE` or `--name=VALUE`; `--flag` and `--no-flag`; `--` ends the options; `-` reads standard input, also
behind `--` (POSIX, guideline 13); everything else, also what begins with one dash, is an argument by position. A
required field may be given by position or as an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from .fields import Field, fields_of
from .secret_params import STAND_IN, asked, by_name, descriptor_of, homeless, refusal
from .surface import Caller, Here, NeedsCaller, Surface, UsageError, the_caller

Runner = Callable[[Any, Caller, Surface], int]

Ahead = Callable[[Any, Caller], object]
"""What is asked of the daemon before a person is asked for secrets. It gets the parameters with a stand-in for each."""

_PLACE = re.compile(r" - at `\$\.(?P<field>[a-z_0-9]+)(?:\[[0-9.]*\])?.*`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[a-z_0-9]+)`")
_LIKE_A_NAME = re.compile(r"(?=.{1,30}$)[A-Za-z]+([_-][A-Za-z]+)*")

_MEANT = {"because": ("why", "reasoning"), "reason": ("why", "reasoning")}
"""Other words for an option, which are not spelled like it."""


@dataclass(frozen=True)
class Command:
    """A command: the words that name it, the Struct of its parameters, and the function that runs it.

    `by_position` names the fields that are taken by position, in order; only the last may be a tuple, which takes
    the rest. `as_typed` names those for which `-` is no text to be read, since the command reads or writes it itself.
    `short` gives options a second name of one dash and one letter: `("-n", "last")`. `before` raises `UsageError`
    where it can't be carried out, before a secret is asked for; `ahead` raises what the daemon would refuse, where a
    person would type it for nothing. `starts` says whether it may start the daemon; `hidden` keeps it out of help.
    """

    words: tuple[str, ...]
    params: type[Struct]
    run: Runner
    by_position: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    as_typed: tuple[str, ...] = ()
    short: tuple[tuple[str, str], ...] = ()
    before: Callable[[Surface], None] | None = None
    ahead: Ahead | None = None
    starts: bool = True
    hidden: bool = False

    @property
    def name(self) -> str:
        """As it is typed, without `kept`."""
        return " ".join(self.words)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its arguments."""
        return fields_of(self.params)

    @property
    def positional(self) -> tuple[Field, ...]:
        """The fields that are taken by position."""
        known = {field.name: field for field in self.fields}
        return tuple(known[name] for name in self.by_position)

    @property
    def summary(self) -> str:
        """The first sentence of its description."""
        return self.description.split("\n", 1)[0].split(". ", 1)[0].rstrip(".:")

    @property
    def description(self) -> str:
        """The docstring of its parameters, as paragraphs of one line each."""
        paragraphs = (self.params.__doc__ or "").strip().split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


class HelpWanted(Exception):
    """`--help` was among the words."""


@dataclass(frozen=True)
class Everywhere:
    """An option that every command takes."""

    name: str
    takes: str
    help: str


EVERYWHERE = (
    Everywhere("json", "", "Print the result, or the error, as one JSON document."),
    Everywhere("colour", "WHEN", "Escape sequences for colour: auto (on a terminal, without NO_COLOR), always, never."),
    Everywhere("no-start", "", "Fail (exit code 69) where the daemon isn't running, instead of starting it."),
    Everywhere("socket", "PATH", "The daemon's socket, instead of the one that KEPT_HOME and XDG_RUNTIME_DIR give."),
    Everywhere("help", "", "Show this help."),
)
COLOURS = ("auto", "always", "never")
_EVERYWHERE = {option.name: option for option in EVERYWHERE}


def parse(command: Command, words: Sequence[str], surface: Surface, call: Caller | None = None) -> tuple[Any, Surface]:
    """The command's parameters, and the surface with `json` and `colour` as `--json` and `--colour` have them.

    `call` asks the daemon what a secret would be typed for in vain; without it nothing is asked ahead.

    Raises `UsageError`, `HelpWanted`, or `NeedsCaller` where `-` stands for an input that isn't at hand; and what
    `Command.ahead` raises.
    """
    reading = _Reading(command, surface, call)
    short = {letter: f"--{name}" for letter, name in command.short}
    rest = iter(words)
    for word in rest:
        if word in short:
            reading.option(short[word], rest)
        elif word == "--":
            reading.arguments += rest
        elif word == "-h" or (word.startswith("--") and len(word) > 2):
            reading.option(word, rest)
        else:
            reading.arguments.append(word)
    reading.place_arguments()
    return reading.finish(), replace(surface, json=surface.json or reading.json, colour=reading.colour)


class _Reading:
    """The state of one parse."""

    def __init__(self, command: Command, surface: Surface, call: Caller | None) -> None:
        self.command = command
        self.surface = surface
        self.call = call
        self.json = False
        self.colour = surface.colour
        self.arguments: list[str] = []
        self.given: dict[str, Any] = {}
        self.descriptors: dict[str, int] = {}
        self.has_input = False

    def option(self, word: str, rest: Iterator[str]) -> None:
        name, has_value, value = word.removeprefix("--").partition("=")
        if word == "-h" or name == "help":
            raise HelpWanted
        fields = {field.option[2:]: field for field in self.command.fields}
        if name in fields and fields[name].kind != "flag":
            self.put_option(fields[name], value if has_value else _next(name, rest))
        elif name in _EVERYWHERE:
            self.everywhere(name, value if has_value else None, rest)
        elif name.removeprefix("no-") in fields and not has_value:
            field = fields.get(name) or fields[name.removeprefix("no-")]
            if field.kind != "flag":
                raise UsageError(f"no option --{name}", f"--{field.option[2:]} {field.label} sets it.")
            self.given[field.name] = field.option[2:] == name
        elif name.removeprefix("no-") in fields and fields[name.removeprefix("no-")].kind == "flag":
            flag = name.removeprefix("no-")
            raise UsageError(f"--{name} takes no value", f"--{flag} says yes, and --no-{flag} no.")
        elif name in (withheld := by_name(self.command.fields)):
            self.withhold(withheld[name], value if has_value else next(rest, ""))
        else:
            raise self.no_option(name, fields)

    def put_option(self, field: Field, text: str) -> None:
        """An option's value; that of a secret is the number of a descriptor."""
        if field.secret:
            self.read_from(descriptor_of(field, text), field)
        else:
            self.put(field, text)

    def everywhere(self, name: str, value: str | None, rest: Iterator[str]) -> None:
        """An option that every command takes."""
        takes = _EVERYWHERE[name].takes
        if value is not None and not takes:
            raise UsageError(f"--{name} takes no value")
        if takes and value is None:
            value = _next(name, rest)
        if name == "colour":
            self.colour = self.colours(value or "")
        elif takes and self.surface.inside:
            # It names another daemon than the one that this runs in.
            raise NeedsCaller
        self.json = self.json or name == "json"

    def colours(self, when: str) -> bool:
        """Whether escape sequences are wanted."""
        if when not in COLOURS:
            raise UsageError(f"--colour must be one of {', '.join(COLOURS)}")
        return self.surface.colour if when == "auto" else when == "always"

    def no_option(self, name: str, fields: Mapping[str, Field]) -> UsageError:
        """The refusal of an option, which is quoted only where it can't be a credential in the wrong place."""
        meant = next((other for other in _MEANT.get(name, ()) if other in fields), None)
        hint = f"Did you mean --{meant}?" if meant else did_you_mean(name, [*fields, *_EVERYWHERE], "--")
        if not hint and self.command.positional and self.command.positional[-1].many:
            hint = "What stands behind -- is taken as it is."
        shown = f"option --{name}" if quotable(name) else "such option"
        return UsageError(f"kept {self.command.name} has no {shown}", hint)

    def withhold(self, field: Field, text: str) -> None:
        """A word in a secret's place: only `-` may be there."""
        if text != "-":
            raise refusal(field)
        self.read_from(0, field)

    def read_from(self, descriptor: int, field: Field) -> None:
        """Have a secret read from a descriptor, when all words are known to be right."""
        if field.name in self.descriptors:
            raise UsageError(f"{field.option} is given twice")
        if descriptor in self.descriptors.values() or (self.has_input and not descriptor):
            raise UsageError(f"descriptor {descriptor} is named twice", "Each secret needs one of its own.")
        self.has_input = self.has_input or not descriptor
        self.descriptors[field.name] = descriptor

    def put(self, field: Field, text: str) -> None:
        if field.secret:
            self.withhold(field, text)
            return
        if field.name in self.given and not field.many:
            raise UsageError(f"{field.option} is given twice")
        if text == "-" and field.name not in self.command.as_typed:
            text = self.read_input()
        value = field.read(text, self.surface.now)
        if field.many:
            self.given.setdefault(field.name, []).append(value)
        else:
            self.given[field.name] = value

    def read_input(self) -> str:
        if self.has_input:
            raise UsageError("only one argument can be -, which reads standard input")
        self.has_input = True
        text = self.surface.stdin()
        return text.removesuffix("\n")

    def place_arguments(self) -> None:
        """Each word goes to the next field that wants one; a tuple takes what is left."""
        slots = [
            field
            for field in self.command.positional
            if field.name not in self.given and field.name not in self.descriptors
        ]
        if len(self.arguments) > len(slots) and not (slots and slots[-1].many):
            withheld = [field for field in self.command.fields if field.secret]
            if withheld and set(self.arguments[len(slots) :]) == {"-"}:
                raise homeless(withheld)
            if withheld:
                raise refusal(withheld[0])
            takes = " ".join(field.label for field in self.command.positional) or "no arguments"
            raise UsageError(
                f"too many arguments: kept {self.command.name} takes {takes}",
                "Put text that has spaces into quotes."
                if self.command.by_position
                else f"See kept {self.command.name} --help.",
            )
        for index, word in enumerate(self.arguments):
            self.put(slots[min(index, len(slots) - 1)], word)

    def finish(self) -> Any:
        missing = [
            field
            for field in self.command.fields
            if field.required and not field.secret and field.name not in self.given
        ]
        if missing:
            by_position = self.command.by_position
            names = ", ".join(field.label if field.name in by_position else field.option for field in missing)
            about = f"{missing[0].help} " if len(missing) == 1 and missing[0].help else ""
            raise UsageError(f"missing {names}", f"{about}See kept {self.command.name} --help.")
        secrets = [field for field in self.command.fields if field.secret]
        if secrets:
            self.ask(secrets, the_caller(self.surface))
        return convert(self.given, self.command.params, self.command.fields)

    def ask(self, secrets: Sequence[Field], here: Here) -> None:
        """Get the secrets, if all else is right."""
        if self.command.before is not None:
            self.command.before(replace(self.surface, json=self.surface.json or self.json))
        needed = [field for field in secrets if field.required or field.name in self.descriptors]
        self.given |= {field.name: STAND_IN for field in needed}
        wanted = convert(self.given, self.command.params, self.command.fields)
        if self.command.ahead and self.call and any(field.name not in self.descriptors for field in needed):
            self.command.ahead(wanted, self.call)
        for field in needed:
            question = asked(field, self.command.name, self.descriptors.get(field.name))
            self.given[field.name] = here.secret(question._replace(check=partial(self.fits, field.name)))

    def fits(self, name: str, text: str) -> None:
        """Raises `UsageError` for a secret that can't be taken, without a word of it."""
        convert({**self.given, name: text}, self.command.params, self.command.fields)


def convert(given: Any, params: type[Struct], fields: Sequence[Field]) -> Any:
    """`given` as the Struct. A refusal becomes a `UsageError` that names the argument and what it must be, not its
    value."""
    try:
        return msgspec.convert(given, params)
    except msgspec.ValidationError as refusal:
        raise _explain(str(refusal), fields) from None


def _explain(refusal: str, fields: Sequence[Field]) -> UsageError:
    unknown = _UNKNOWN.fullmatch(refusal)
    if unknown:
        shown = f"parameter {unknown['name']}" if quotable(unknown["name"]) else "such parameter"
        return UsageError(f"there is no {shown}", did_you_mean(unknown["name"], [field.name for field in fields]))
    missing = _MISSING.fullmatch(refusal)
    if missing:
        return UsageError(f"missing parameter {missing['name']}")
    place = _PLACE.search(refusal)
    field = next((each for each in fields if place and each.name == place["field"]), None)
    if field is None or place is None:
        return UsageError(refusal)
    if "matching regex" in refusal:
        # It quotes the expression, which tells people nothing.
        if "0000" in refusal:
            reason = f"must have no {'control characters' if '001f' in refusal else 'NUL (U+0000)'}"
        else:
            reason = "has another form"
    elif "`array` of length" in refusal:
        often = "often" if "<=" in refusal else "seldom"
        return UsageError(f"{field.label} is given too {often}", f"Put text that has spaces into quotes. {field.help}")
    elif field.limits and "=" in refusal:
        reason = f"must {'have' if field.kind == 'text' else 'be'} {field.limits}"
    else:
        reason = "is not right: " + refusal[: place.start()].replace("`", "").lower()
    return UsageError(f"{field.label} {reason}", field.help)


def _next(name: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None or (value.startswith("--") and len(value) > 2) or value == "--":
        raise UsageError(f"--{name} needs a value", f"A value that begins with -- is written --{name}=VALUE.")
    return value


def quotable(name: str) -> str:
    """`name`, where it looks like one and not like a value that was put in its place; else nothing."""
    return name if _LIKE_A_NAME.fullmatch(name) else ""


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """A hint with the nearest of `known`, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"Did you mean {prefix}{near[0]}?" if near else ""
