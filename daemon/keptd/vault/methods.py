"""Handlers that show entries, listed, searched and opened, and those of requests and the audit list.

Who said that it is an agent gets a value only where the entry is `agent_readable`, where it is `agent_usable` and to be
lent to a command, or where a connection that didn't say so confirms it, this once. Of an entry that is neither, it
isn't told the metadata either. It changes no value that it may not
read, deletes nothing, and doesn't say what agents may. An agent that said nothing passes for a person, and one that
borrows for a command could read as well: this guards against accidents and against text that talks an agent into
something, not against a hostile program of the same user.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import anyio.from_thread
import anyio.to_thread
import msgspec
import structlog
from msgspec import Raw

from kept.wire import Page
from kept.wire.errors import DeadlinePassed, Denied, InvalidParams, Locked, StorageFailed
from kept.wire.vault import (
    Access,
    AuditVault,
    Confirm,
    Entry,
    FoundEntry,
    ListRequests,
    ListSecrets,
    OpenEntry,
    Request,
    Requests,
    RetrieveSecret,
    SearchSecrets,
)

from ..domain import Tell
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..store.pages import Order, fit, page
from . import audit, entries, head, search, store
from .audit import Note
from .cipher import Damaged, wipe
from .entries import About
from .keys import DataKey
from .search import Contents, Known
from .store import EntryRow
from .visit import IS_ID, Visit, missing

log = structlog.get_logger(__name__)

BY_NAME = Order("vault.list name", str)

ASKED = "vault.asked"

_ACTIONS = {"read": "retrieve", "lend": "lend"}
"""What the audit list says for each purpose."""

_ASKS = {"read": "ask", "lend": "ask_lend"}
"""The same of an agent that waits for a person."""


def retrieve_now(ctx: ControlCtx, call: RetrieveSecret) -> OpenEntry | None:
    """The secret, where nothing has to be waited for: it is there, it opens, and the caller may have it."""
    visit = Visit.of(ctx, call.method)
    read = _read(visit, call.id)
    if read is None or not _may_have(visit, read.about, call):
        return None
    return _told(visit, read, call)


@serves(at_once=retrieve_now)
async def retrieve_secret(ctx: ControlCtx, call: RetrieveSecret) -> OpenEntry:
    visit = Visit.of(ctx, call.method)
    read = await _awaited(visit, call.id)
    if not _may_have(visit, read.about, call):
        await _confirmed(visit, read, call, ctx.progress)
        read = await _awaited(visit, read.row.id)
    found = _told(visit, read, call)
    if found is None:
        raise await _damaged(visit, read.row.id)
    return found


@serves
def list_secrets(ctx: ControlCtx, call: ListSecrets) -> Page[Entry]:
    visit = Visit.of(ctx, call.method)
    opened = visit.opened()
    position = BY_NAME.after(call.cursor)
    fitting = (
        known
        for known in opened.contents.after(position[0] if position else None, call.prefix)
        if call.category in (None, known.about.category) and (call.tag is None or call.tag in known.about.tags)
    )
    visit.looked("list")

    def shown(known: Known) -> Entry:
        return entries.entry(known.id, known.revision, known.about, to_agent=visit.is_agent)

    return page(islice(fitting, call.limit + 1), call.limit, shown, lambda known: BY_NAME.cursor(search.name_of(known)))


@serves
async def search_secrets(ctx: ControlCtx, call: SearchSecrets) -> Page[FoundEntry]:
    """In a thread, over what there was when it began, and one search at a time: several would keep the interpreter from
    the loop in turn. A lock meanwhile ends it."""
    visit = Visit.of(ctx, call.method)
    opened = visit.opened()
    query = search.Query.of(call.query)
    contents = tuple(opened.contents)
    deadline = visit.clock.monotonic() + ctx.config.storage.read_seconds

    def go_on() -> None:
        if visit.keyring.opened is not opened:
            raise _locked_meanwhile()
        if visit.clock.monotonic() > deadline:
            raise DeadlinePassed("the deadline for this search passed")
        anyio.from_thread.check_cancelled()

    def shown(hit: tuple[float, Known]) -> FoundEntry:
        go_on()
        score, known = hit
        members = entries.shown(known.id, known.revision, known.about)
        return FoundEntry(**members, score=score, snippet=search.snippet(known, query))

    def run() -> list[FoundEntry]:
        go_on()
        known = map(search.for_agents, contents) if visit.is_agent else contents
        hits = search.found(known, query, call.category, call.offset + call.limit, go_on)
        return fit(map(shown, hits[call.offset :]))

    items = await anyio.to_thread.run_sync(run, limiter=visit.keyring.searching)
    if visit.opened() is not opened:
        raise _locked_meanwhile()
    visit.looked("search")
    return Page(items=items)


@serves
async def audit_vault(ctx: ControlCtx, call: AuditVault) -> Page[Access]:
    visit = Visit.of(ctx, call.method)
    await visit.keyring.audit_queue.settled()
    entry_id: str | None = call.id
    if call.id is not None and not IS_ID.fullmatch(call.id):
        known = visit.opened().contents.find(call.id)
        if known is None:
            raise InvalidParams("id is neither the name nor the id of an entry", field="id")
        entry_id = known.id
    found = audit.listed(ctx.store.inline, entry_id, call.action, call.limit, call.cursor)
    visit.lock_if_due()
    opened = visit.keyring.opened
    return found if opened is None else msgspec.structs.replace(found, items=_named(found.items, opened.contents))


@serves
def list_requests(ctx: ControlCtx, call: ListRequests) -> Requests:
    visit = Visit.of(ctx, call.method)
    visit.opened()
    return Requests(items=tuple(waiting.shown() for waiting in visit.keyring.asking.all()))


@serves
async def confirm(ctx: ControlCtx, call: Confirm) -> Request:
    visit = Visit.of(ctx, call.method)
    visit.opened()
    waiting = visit.keyring.asking.find(call.id)
    if visit.is_agent:
        await visit.refused(Note("confirm", waiting.entry_id, "denied"))
        raise Denied("an agent can't confirm for a person", hint="Confirm it in a terminal: kept vault confirm.")
    with waiting.giving(call.answer):
        await visit.note(Note("confirm" if call.answer == "allow" else "refuse", waiting.entry_id))
    return waiting.shown()


def _locked_meanwhile() -> Locked:
    return Locked("the vault was locked during the search")


def _named(items: Sequence[Access], contents: Contents) -> list[Access]:
    """With what the entries are called, of those that are there."""
    known = (contents.get(access.entry_id or "") for access in items)
    return [
        access if one is None else msgspec.structs.replace(access, name=one.about.name)
        for access, one in zip(items, known, strict=True)
    ]


class _Read(NamedTuple):
    """An entry as it was found: with what it opens, its row, and what is known of it."""

    key: DataKey
    row: EntryRow
    about: About


def _read(visit: Visit, ref: str) -> _Read | None:
    """An entry's row, where it is the very one that is known in memory; None where there is none, or another, as while
    a change is on its way. Raises `Locked`."""
    opened = visit.keyring.opened
    known = opened.contents.find(ref) if opened is not None else None
    stored, row = store.found(visit.store.inline, known.id if known is not None else "")
    opened = visit.look(stored)
    if known is None or row is None or head.leaf(opened.key, row) != known.leaf:
        return None
    return _Read(opened.key, row, known.about)


async def _awaited(visit: Visit, ref: str) -> _Read:
    """As `_read`, when what is being changed is in memory. Raises `NotFound`, `Locked`, and `StorageFailed` where the
    row is another."""
    read = _read(visit, ref)
    if read is not None:
        return read
    async with visit.keyring.turn:
        read, known = _read(visit, ref), visit.opened().contents.find(ref)
    if read is not None:
        return read
    if known is not None:
        raise await _damaged(visit, known.id)
    await visit.refused(Note("retrieve", outcome="not_found"))
    raise missing()


async def _damaged(visit: Visit, entry_id: str) -> StorageFailed:
    """What is stored of an entry isn't what was stored; that is written down, and `vault.status` tells it."""
    visit.keyring.unread.add(entry_id)
    await visit.refused(Note("retrieve", entry_id, "damaged"))
    return StorageFailed(
        "what is stored of this entry doesn't open: it is damaged",
        hint="A backup may have it (backup.list); vault.update gives it a new value. vault.rotate, which then changes "
        "nothing, names all that don't open.",
    )


def _may_have(visit: Visit, about: About, call: RetrieveSecret) -> bool:
    """Whether the caller gets the value without anybody's confirmation."""
    return not visit.is_agent or about.agent_readable or (about.agent_usable and call.purpose == "lend")


def _told(visit: Visit, read: _Read, call: RetrieveSecret) -> OpenEntry | None:
    """The entry with its value, and that it was told; None where it doesn't open."""
    try:
        value = entries.open_value(read.key, read.row)
    except Damaged:
        return None
    visit.keyring.unread.discard(read.row.id)
    visit.looked(_ACTIONS[call.purpose], read.row.id)
    found = OpenEntry(**entries.shown(read.row.id, read.row.revision, read.about), value=Raw(bytes(value)))
    wipe(value)
    return found


async def _confirmed(visit: Visit, read: _Read, call: RetrieveSecret, tell: Tell) -> None:
    """Wait until a person says yes; the agent is told what that person has to type. Raises `Denied`, and `Locked` where
    the vault is locked meanwhile."""
    answer, seconds = "deny", call.wait_seconds
    if seconds:
        with visit.keyring.asking.request(
            read.row.id, read.about.name, call.purpose, visit.caller, visit.clock, seconds
        ) as waiting:
            await visit.note(Note(_ASKS[call.purpose], read.row.id), notice=ASKED)
            tell(0, 0, f"to consent, in a terminal: kept vault confirm {waiting.id} allow")
            answer = await waiting.wait(visit.clock)
    if answer == "allow":
        return
    if answer == "locked":
        raise Locked("the vault was locked before anybody confirmed it")
    await visit.refused(Note(_ACTIONS[call.purpose], read.row.id, "denied"))
    if answer == "late":
        raise Denied(f"nobody confirmed it within {seconds} s", hint="Ask the person, and try again.")
    if seconds:
        raise Denied("a person said no", hint="Go on without the secret, or ask them why.")
    raise Denied(
        f"an agent may not {call.purpose} this entry",
        hint="Ask with wait_seconds, and the person answers with `kept vault confirm`. What a person marked "
        "for agents to use can be lent to a command unread, with `kept vault run`.",
    )
