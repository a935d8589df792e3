"""Completion: what could stand where the cursor is. From the same classes as the commands, and where a daemon answers,
from what is stored: keys, open ids, names.

Refuses to fail: a shell that waits for a Tab gets candidates or none, never an error, and no daemon is started for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from ..faults import Fault
from ..trust import Untrusted
from ..wire import Call
from ..wire.catalog import calls, further_names
from ..wire.errors import KeptError
from ..wire.vault import ListRequests
from .fields import Field, fields_of
from .methods import about, reachable
from .parse import EVERYWHERE, Command
from .registry import domains, everything
from .surface import Caller
from .text import clean, one_line, plain

_MOST = 50
_ABOUT_CHARACTERS = 60

_BREAKS = {"\n", "\t"}
"""What ends a candidate, on the way to the shell."""

Candidate = tuple[str, str]
"""A word, and what it is."""


def candidates(before: Sequence[str], word: str, call: Caller) -> Iterator[Candidate]:
    """What `word`, after the words `before`, could become; stored text only where a shell can take it as it is."""
    for candidate, told in _possible(list(before), word, call):
        if candidate.startswith(word) and candidate == clean(candidate) and not _BREAKS & set(candidate):
            yield candidate, one_line(told)[:_ABOUT_CHARACTERS]


def _possible(before: list[str], word: str, call: Caller) -> Iterator[Candidate]:
    if not before:
        yield from _first_words()
        yield from (_everywhere() if word.startswith("-") else ())
        return
    if before[0] == "help":
        yield from _first_words() if len(before) == 1 else _verbs(before[1])
        return
    if len(before) == 1:
        yield from _verbs(before[0])
    command = _command(before)
    if command is not None:
        yield from _arguments(command, before[len(command.words) :], word, call)


def _first_words() -> Iterator[Candidate]:
    for command in everything().values():
        if len(command.words) == 1 and not command.hidden:
            yield command.words[0], command.summary
    for domain, commands in domains().items():
        if not all(command.hidden for command in commands) and (domain,) not in everything():
            yield domain, about(domain)


def _verbs(domain: str) -> Iterator[Candidate]:
    return ((command.words[1], command.summary) for command in domains().get(domain, ()) if not command.hidden)


def _everywhere() -> Iterator[Candidate]:
    return ((f"--{option.name}", option.help) for option in EVERYWHERE)


def _command(before: Sequence[str]) -> Command | None:
    return everything().get(tuple(before[:2])) or everything().get(tuple(before[:1]))


def _arguments(command: Command, before: Sequence[str], word: str, call: Caller) -> Iterator[Candidate]:
    options = {field.option: field for field in command.fields}
    short = {letter: f"--{name}" for letter, name in command.short}
    used, placed, waiting, only_arguments = _read(options, [short.get(word, word) for word in before])
    if waiting is not None:
        yield from _values(command, waiting, word, call)
        return
    name, has_value, start = word.partition("=")
    if has_value and name in options and not only_arguments:
        for value, told in _values(command, options[name], start, call):
            yield f"{name}={value}", told
        return
    if word.startswith("-") and not only_arguments:
        fields = sorted(command.fields, key=lambda each: each.every_write)
        yield from ((each.option, each.help) for each in fields if each.many or each.option not in used)
        yield from _everywhere()
        return
    slots = [field for field in command.positional if field.option not in used]
    if slots and (placed < len(slots) or slots[-1].many):
        yield from _values(command, slots[min(placed, len(slots) - 1)], word, call)


def _read(options: Mapping[str, Field], before: Sequence[str]) -> tuple[set[str], int, Field | None, bool]:
    """Of the words before: options used, how many arguments, the option that waits for its value, whether `--` came."""
    used: set[str] = set()
    placed = 0
    waiting: Field | None = None
    only_arguments = False
    for word in before:
        name, has_value, _ = word.partition("=")
        if waiting is not None:
            waiting = None
        elif only_arguments or not word.startswith("--"):
            placed += 1
        elif word == "--":
            only_arguments = True
        else:
            used.add(name)
            field = options.get(name)
            waiting = field if field is not None and field.kind != "flag" and not has_value else None
    return used, placed, waiting, only_arguments


def _values(command: Command, field: Field, word: str, call: Caller) -> Iterator[Candidate]:
    if field.choices:
        yield from ((choice, "") for choice in field.choices)
    elif command.words == ("rpc",) and field.name == "method":
        yield from ((name, "") for name in reachable())
    elif field.name == "topics":
        names = sorted({*calls(), *further_names(calls().values())})
        topics = dict.fromkeys(part for name in names for part in (name.partition(".")[0], name))
        yield from ((topic, "") for topic in topics)
    elif command.words == ("recall",):
        yield from _stored("memory", "key", word, call)
    elif command.words[0] == "vault":
        if command.words[1:] == ("confirm",):
            yield from _waiting(call)
        elif field.name in {"id", "secret", "secret_fd"}:
            yield from _stored("vault", "name", word, call)
    elif field.name in {"session", "session_id", "parent", "parent_id"}:
        yield from _stored("session", "id", word, call)
    elif field.name in {"id", "key", "name"}:
        yield from _stored(command.words[0].replace("-", "_"), field.name, word, call)


def _stored(domain: str, name: str, word: str, call: Caller) -> Iterator[Candidate]:
    """The `name` of what the domain's list method lists: those that begin with `word` where it can tell, open ones
    where it knows open from closed."""
    listing = calls().get(f"{domain}.list")
    if listing is None:
        return
    request = _listing(listing, word)
    if request is None:
        return
    with suppress(KeptError, Fault, Untrusted):
        for item in call(request).items:
            if hasattr(item, name):
                yield getattr(item, name), _about(item, name)


def _waiting(call: Caller) -> Iterator[Candidate]:
    """The requests of agents that wait for a person."""
    with suppress(KeptError, Fault, Untrusted):
        for request in call(ListRequests()).items:
            yield request.id, f"{request.client}: {request.name}"


def _listing(listing: type[Call[Any]], word: str) -> Call[Any] | None:
    fields = {field.name: field for field in fields_of(listing)}
    params: dict[str, Any] = {"limit": _MOST} if "limit" in fields else {}
    if "prefix" in fields and word:
        params["prefix"] = word
    if "status" in fields and "open" in fields["status"].choices:
        params["status"] = "open"
    try:
        request: Call[Any] = msgspec.convert(params, listing)
    except msgspec.ValidationError:
        return None
    return request


def _about(item: Struct, name: str) -> str:
    """What the item says first, beside its names."""
    skipped = {name, "id", "scope"}
    told = next((getattr(item, other) for other in item.__struct_fields__ if other not in skipped), "")
    return plain(told)[: _ABOUT_CHARACTERS * 4]
