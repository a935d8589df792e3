"""Help: all commands, one domain, or one command, as text of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from .fields import Field, Kind
from .methods import about as about_domain
from .methods import is_write
from .parse import EVERYWHERE, Command
from .registry import domains, everything, find

_WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

_INDENT = 24

_ROOMY = 60
"""Columns below which the text about a word stands under it, not beside it."""

_NARROWEST = 20
"""Nothing can be read that is wrapped to less."""

_TAKES: dict[Kind, str] = {
    "text": "TEXT",
    "number": "N",
    "fraction": "N",
    "choice": "WORD",
    "time": "TIME",
    "any": "JSON",
    "flag": "",
}


def about(words: Sequence[str], columns: int) -> str:
    """Help for the command, else the domain, that `words` name; for everything without words. Raises `UsageError`."""
    if not words:
        return _overview(columns)
    name = words[0].replace("_", "-")
    is_command = (name,) in everything()
    if len(words) == 1 and name in domains() and not is_command:
        return _of_domain(name, columns)
    text = _of_command(find(words)[0], columns)
    if len(words) == 1 and name in domains():
        also = ", ".join(command.name for command in domains()[name])
        text += "\n" + textwrap.fill(f"Also: {also}.", _width(columns)) + "\n"
    return text


def _overview(columns: int) -> str:
    """`kept --help`."""
    width = _width(columns)
    short = [command for command in everything().values() if len(command.words) == 1 and not command.hidden]
    parts = [
        "usage: kept COMMAND [ARGUMENTS]\n",
        "Every day:",
        *_rows([(_call_of(command), command.summary) for command in short], width),
        "\nEvery method, as kept DOMAIN VERB:",
        *_rows([(name, _verbs(name)) for name in domains()], width),
        "\nEverywhere:",
        *_rows(_everywhere(), width),
        "\n" + textwrap.fill("kept help COMMAND and kept help DOMAIN tell more.", width),
        textwrap.fill("Exit codes: 0 fine, 1 the daemon refused, 2 usage, 69 no daemon.", width),
    ]
    return "\n".join(parts) + "\n"


def _of_domain(domain: str, columns: int) -> str:
    """`kept DOMAIN --help`."""
    rows = [(" ".join(command.words[1:]), command.summary) for command in domains()[domain]]
    lines = [f"usage: kept {domain} VERB [ARGUMENTS]\n", about_domain(domain) + ".\n", *_rows(rows, _width(columns))]
    return "\n".join([*lines, f"\nkept {domain} VERB --help tells more."]) + "\n"


def _of_command(command: Command, columns: int) -> str:
    """`kept COMMAND --help`."""
    width = _width(columns)
    by_position = [field for field in command.positional if not field.secret]
    secrets = [field for field in command.fields if field.secret]
    options = [field for field in command.fields if field not in by_position]
    common = [field for field in options if is_write(command) and field.every_write]
    own = [field for field in options if field not in common]
    short = {name: f"{letter}, " for letter, name in command.short}
    parts = [textwrap.fill(usage(command), width, subsequent_indent="  ", break_on_hyphens=False), ""]
    parts += [textwrap.fill(paragraph, width) + "\n" for paragraph in command.description.split("\n\n")]
    parts += _group("Arguments:", [(field.label, _about(field)) for field in by_position], width)
    parts += _group("Options:", [(short.get(field.name, "") + _option(field), _about(field)) for field in own], width)
    parts += _group("Options of every write:", [(_option(field), _about(field)) for field in common], width)
    everywhere = ", ".join(name for name, _ in _everywhere())
    parts += [textwrap.fill(f"Everywhere: {everywhere}.", width, break_on_hyphens=False), ""]
    if secrets:
        parts.append(textwrap.fill(_about_secrets(secrets, command), width) + "\n")
    if by_position and not secrets and by_position[-1].name not in command.as_typed:
        example = by_position[-1]
        note = (
            f"An argument can also be an option ({_option(example)}). - reads it from standard input, and "
            "so keeps it out of the list of processes."
        )
        parts.append(textwrap.fill(note, width) + "\n")
    if command.examples:
        parts += ["Examples:", *(f"  {example}" for example in command.examples), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _about_secrets(secrets: Sequence[Field], command: Command) -> str:
    names = " and ".join(field.label for field in secrets)
    dash = "- reads it from standard input. " if any(field in command.positional for field in secrets) else ""
    return (
        f"{names} can't stand in the command line. At a terminal kept asks, and shows nothing of what is typed. {dash}"
        "Where there is no terminal, the program that KEPT_ASKPASS (else SSH_ASKPASS) names asks."
    )


def usage(command: Command) -> str:
    """The usage line."""
    required = [
        field
        for field in command.fields
        if field.required and not field.secret and field.name not in command.by_position
    ]
    options = [_option(field) for field in required]
    # A secret's own option is one that may be given.
    taken = sum(field.name in command.by_position and not field.secret for field in command.fields)
    rest = "" if len(required) + taken == len(command.fields) else "[OPTIONS]"
    return " ".join(filter(None, ["usage: kept", _call_of(command), *options, rest]))


def _call_of(command: Command) -> str:
    return " ".join([command.name, *(_argument(field) for field in command.positional)])


def _argument(field: Field) -> str:
    if field.secret:
        return "[-]"
    label = field.label.removesuffix("S") + "..." if field.many else field.label
    return label if field.required else f"[{label}]"


def _option(field: Field) -> str:
    if field.kind == "flag":
        return f"{field.option}, --no-{field.option[2:]}" if field.default else field.option
    if field.secret:
        return f"{field.option} N"
    return f"{field.option} {_TAKES[field.kind]}"


def _about(field: Field) -> str:
    facts = []
    if field.choices:
        facts.append(" | ".join(field.choices))
    if field.limits and field.limits not in field.help:
        facts.append(field.limits)
    if field.secret:
        return f"A descriptor to read it from, instead of being asked: {field.help[:1].lower()}{field.help[1:]}"
    if field.kind == "any":
        facts.append("JSON, or else text")
    if field.kind == "time":
        facts.append("RFC 3339, a date, '2h ago' or +3d")
    if field.many:
        facts.append("may be repeated")
    if field.default not in (None, (), ""):
        facts.append(f"default {field.default}")
    details = f"({'; '.join(facts)})" if facts else ""
    return f"{field.help} {details}".strip()


def _verbs(name: str) -> str:
    return f"{' '.join(command.words[1] for command in domains()[name])}. {about_domain(name)}."


def _everywhere() -> list[tuple[str, str]]:
    return [(f"--{option.name} {option.takes}".strip(), option.help) for option in EVERYWHERE]


def _group(title: str, rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    return [title, *_rows(rows, width), ""] if rows else []


def _rows(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    indent = _INDENT if width >= _ROOMY else 4
    for name, text in rows:
        head = f"  {name}"
        lines = textwrap.wrap(text, width - indent) or [""]
        if len(head) > indent - 2:
            yield head
        else:
            lines[0] = head.ljust(indent) + lines[0]
            yield lines.pop(0).rstrip()
        yield from (" " * indent + line for line in lines)


def _width(columns: int) -> int:
    return max(_NARROWEST, min(columns, _WIDEST))
