"""The short commands that people type all day. Each is a Struct of parameters, like a method, and a function that runs
it.

They add nothing that the methods can't do: each is one or two calls and words around them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ..wire import Id, OnSecret, Query, Tags, Text, Time
from ..wire.component import OverallComponents
from ..wire.context import Bundle, BundleContext
from ..wire.daemon import DaemonStatus, Status
from ..wire.errors import NotFound, SecretFound
from ..wire.journal import AddDecision, Decision, ListActions, LogAction, SearchDecisions, Since
from ..wire.memory import Category, GetMemory, Memory, Priority, Scope, SearchMemories, SetMemory
from .doctor import DOCTOR
from .fields import fields_of, read_value
from .parse import Command, convert
from .render import render, show_bundle, show_json, show_value
from .surface import FINE, Caller, Surface, UsageError
from .table import table
from .talk import session_id
from .text import clean, duration, one_line, plain, size

_KEY_CHARACTERS = 40
_KEY_AND_VALUE = 2
"""How many arguments are a key and its value."""

_NAME_CHARACTERS = 200
_VALUE_CHARACTERS = 1024 * 1024
"""As long as a value can be at most; the daemon counts its bytes."""

ProjectOption = Annotated[str, Meta(min_length=1, max_length=200, description="The id of a project.")]


class ShowStatus(Struct, frozen=True, kw_only=True):
    """How the daemon, its storage and your components are."""


class Remember(Struct, frozen=True, kw_only=True):
    """Keep a text, or a value under a key.

    Two arguments are a key and its value, which is JSON where it parses as JSON, else text. One, or more than two, are
    a text; its key is made from it, the same for the same text.
    """

    text: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=_VALUE_CHARACTERS)], ...],
        Meta(min_length=1, description="A key and its value; or a text."),
    ]
    scope: Scope = "global"
    category: Category | None = None
    priority: Priority | None = None
    tags: Tags | None = None
    ttl: Annotated[int, Meta(ge=1, le=315_360_000, description="Seconds until it is forgotten.")] | None = None
    on_secret: OnSecret | None = None


class Recall(Struct, frozen=True, kw_only=True):
    """Find what is known and what was decided.

    Words that are a key show its value. Everything else is searched for in memories and decisions, best first.
    """

    words: Annotated[tuple[Query, ...], Meta(min_length=1, description="A key, or words to search for.")]
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many of each kind at most.")] = 10


class Found(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was recalled: a memory's key or a decision's id, and the place that fits. Without a score where
    the words were its key."""

    kind: str
    key: str
    snippet: str = ""
    score: float = 0.0
    updated_at: Time
    value: Any


class Context(Struct, frozen=True, kw_only=True):
    """What a session should know when it starts, as Markdown; with --json as sections."""

    project: ProjectOption | None = None
    session: (
        Annotated[Id, Meta(description="The session that goes on; `last`: the one that was active last.")] | None
    ) = None
    budget: Annotated[int, Meta(ge=100, le=200_000, description="How many tokens it may take.")] = 2000


class Log(Struct, frozen=True, kw_only=True):
    """Record something that was done; without a text, list what was done."""

    text: Annotated[tuple[Text, ...], Meta(description="What was done.")] = ()
    details: Annotated[Any, Meta(description="More about it; JSON where it parses as JSON, else text.")] = None
    project: ProjectOption | None = None
    since: Since | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many to list at most.")] = 20
    on_secret: OnSecret | None = None


class Decide(Struct, frozen=True, kw_only=True):
    """Record a decision and why it was taken."""

    text: Annotated[tuple[Text, ...], Meta(min_length=1, description="What was decided.")]
    why: Annotated[Text, Meta(description="The reason.")]
    alternatives: Annotated[tuple[Text, ...], Meta(max_length=32, description="What else was considered.")] = ()
    supersedes: Annotated[str, Meta(max_length=64, description="The id of the decision that it replaces.")] | None = (
        None
    )
    project: ProjectOption | None = None
    on_secret: OnSecret | None = None


def status(_: ShowStatus, call: Caller, surface: Surface) -> int:
    """How the daemon and the components are, in a few lines."""
    daemon = call(Status())
    overall = call(OverallComponents())
    if surface.json:
        show_json({"daemon": daemon, "components": overall}, surface)
        return FINE
    for line in _daemon_lines(daemon):
        surface.line(line)
    if not overall.components:
        surface.line("components: none reported")
        return FINE
    worst = f"; look at {', '.join(map(one_line, overall.worst))}" if overall.worst else ""
    surface.line(f"components: {overall.status}, health {overall.health:.0f} of 100 ({overall.components}){worst}")
    return FINE


def _daemon_lines(daemon: DaemonStatus) -> Iterator[str]:
    storage = daemon.storage
    clients = "1 connection" if daemon.connections == 1 else f"{daemon.connections} connections"
    running = f"running for {duration(daemon.uptime_seconds)}"
    yield f"keptd {clean(daemon.version)} is {running} (pid {daemon.pid}, {clients}, {clean(daemon.home)})"
    if storage.state == "ok":
        used = size(storage.database_bytes + storage.wal_bytes)
        yield f"storage: all is well; {used} used, {size(storage.free_bytes)} free, {storage.last_seq:,} changes"
        if not storage.is_checked:
            yield "storage: the last run did not end properly; all of the database is being checked meanwhile"
        if storage.recovered is not None:
            yield f"storage: the database was damaged, and this start recovered it. {one_line(storage.recovered)}"
    else:
        yield f"storage: {storage.state}, so nothing can be written: {one_line(storage.detail)}"
    if storage.state != "ok" or storage.recovered is not None or daemon.jobs_failing:
        yield "kept doctor says more, and what to do next"


def remember(wanted: Remember, call: Caller, surface: Surface) -> int:
    """Keep a text or a value."""
    settings = {name: getattr(wanted, name) for name in ("scope", "category", "priority", "tags", "ttl", "on_secret")}
    if len(wanted.text) == _KEY_AND_VALUE:
        key, value = wanted.text
        kept = call(_convert({**settings, "key": key, "value": read_value(value)}, SetMemory))
    else:
        kept = _remember_text(" ".join(wanted.text), settings, call)
    if surface.json:
        show_json(kept, surface)
    else:
        again = f" (version {kept.version})" if kept.version > 1 else ""
        surface.line(f"remembered {one_line(kept.key)}{again}")
    return FINE


def _remember_text(text: str, settings: dict[str, Any], call: Caller) -> Memory:
    """Keep a text under a key made of its words; or of its hash alone, where the words may be those of a credential."""
    if not text.strip():
        raise UsageError("there is nothing to remember: the text is blank", "kept memory set KEY TEXT keeps any text.")
    params = {**settings, "key": key_of(text), "value": text}
    if settings["on_secret"] != "allow":  # noqa: S105 - a choice, not a secret
        with suppress(SecretFound):
            checked: Memory = call(_convert({**params, "on_secret": "refuse"}, SetMemory))
            return checked
        params["key"] = key_of(text).rpartition("-")[2]
    kept: Memory = call(_convert(params, SetMemory))
    return kept


def key_of(text: str) -> str:
    """A key for a text, the same for the same text: its first words and six digits of its hash (BLAKE2s)."""
    words = "-".join(re.findall(r"\w+", text.lower())[:6])[:_KEY_CHARACTERS].strip("-_")
    digest = hashlib.blake2s(text.encode(), digest_size=3).hexdigest()
    return f"{words}-{digest}" if words else digest


def recall(wanted: Recall, call: Caller, surface: Surface) -> int:
    """Show the value under a key, or search."""
    words = " ".join(wanted.words)
    if len(words) <= _NAME_CHARACTERS and words.isprintable():
        with suppress(NotFound):
            memory = call(GetMemory(key=words))
            if surface.json:
                exact = Found(kind="memory", key=memory.key, updated_at=memory.updated_at, value=memory.value)
                show_json({"items": [exact]}, surface)
            else:
                show_value(memory, surface)
            return FINE
    query: SearchMemories = _convert({"query": words, "limit": wanted.limit}, SearchMemories)
    found = sorted(_search(query, call), key=lambda each: (-each.score, each.kind, each.key))
    if surface.json:
        show_json({"items": found}, surface)
    elif found:
        surface.out(table(found, surface, acts_by_id=False))
    else:
        surface.note("nothing is known about that")
    return FINE


def _search(query: SearchMemories, call: Caller) -> Iterator[Found]:
    for memory in call(query).items:
        yield Found(
            kind="memory",
            key=memory.key,
            snippet=memory.snippet or plain(memory.value),
            score=memory.score,
            updated_at=memory.updated_at,
            value=memory.value,
        )
    for decision in call(SearchDecisions(query=query.query, limit=query.limit)).items:
        yield Found(
            kind="decision",
            key=decision.id,
            snippet=decision.snippet or decision.decision,
            score=decision.score,
            updated_at=decision.updated_at,
            value=decision.decision,
        )


def context(wanted: Context, call: Caller, surface: Surface) -> int:
    """Show the context bundle."""
    session = None if wanted.session is None else session_id(wanted.session, call)
    params = {"project": wanted.project, "session": session, "budget_tokens": wanted.budget}
    bundle: Bundle = call(_convert({**params, "format": "json" if surface.json else "markdown"}, BundleContext))
    if surface.json:
        show_json(bundle, surface)
    else:
        show_bundle(bundle, surface)
    return FINE


def log(wanted: Log, call: Caller, surface: Surface) -> int:
    """Record an action, or list them."""
    if not wanted.text:
        if wanted.details is not None:
            raise UsageError("--details belong to a text", "kept log TEXT --details JSON")
        listing = ListActions(project=wanted.project, since=wanted.since, limit=wanted.limit)
        render(listing, call(listing), surface)
        return FINE
    if wanted.since is not None:
        raise UsageError("--since belongs to a list", "kept log --since TIME lists what was done since.")
    text = " ".join(wanted.text)
    settings = {"details": wanted.details, "project": wanted.project, "on_secret": wanted.on_secret}
    action = call(_convert({"action": text, **settings}, LogAction))
    if surface.json:
        show_json(action, surface)
    else:
        surface.line(f"logged {one_line(action.action)}")
    return FINE


def decide(wanted: Decide, call: Caller, surface: Surface) -> int:
    """Record a decision."""
    params = {"decision": " ".join(wanted.text), "reasoning": wanted.why}
    settings = {name: getattr(wanted, name) for name in ("alternatives", "supersedes", "project", "on_secret")}
    decision: Decision = call(_convert({**params, **settings}, AddDecision))
    if surface.json:
        show_json(decision, surface)
    else:
        surface.line(f"decided {one_line(decision.decision)}")
        surface.line(f"when it is known what came of it: kept decision resolve {clean(decision.id)} OUTCOME")
    return FINE


def _convert(params: dict[str, Any], request: type[Struct]) -> Any:
    return convert(msgspec.to_builtins(params), request, fields_of(request))


EVERYDAY = (
    Command(("status",), ShowStatus, status),
    DOCTOR,
    Command(
        ("remember",),
        Remember,
        remember,
        by_position=("text",),
        examples=(
            'kept remember "the build uses uv"',
            "kept remember editor.indent 4",
            "git diff | kept remember last-diff -",
        ),
    ),
    Command(
        ("recall",),
        Recall,
        recall,
        by_position=("words",),
        examples=("kept recall build tool", "kept recall editor.indent"),
    ),
    Command(
        ("context",),
        Context,
        context,
        examples=("kept context --project web-1a2b3c4d --budget 1000", "kept context --session last"),
    ),
    Command(
        ("log",),
        Log,
        log,
        by_position=("text",),
        examples=(
            "kept log released 1.4",
            'kept log "ran the tests" --details \'{"failed": 2}\'',
            "kept log --since 1d",
        ),
    ),
    Command(
        ("decide",), Decide, decide, by_position=("text",), examples=('kept decide "use SQLite" --why "one file"',)
    ),
)
