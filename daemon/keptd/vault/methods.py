"""Handlers that show entries, listed, searched and opened, and those of requests and the audit list.

Who said that it is an agent gets a value only where the entry is `agent_readable`, or where a connection that didn't
say so confirms it, this once. It changes no value that it may not read, deletes nothing, and doesn't say who may read
what. An agent that said nothing passes for a person: this guards against accidents and against text that talks an
agent into something, not against a hostile program of the same user, which could as well say that it is none.
"""

from __future__ import annotations

from itertools import islice

from msgspec import Raw

from kept.wire import Page
from kept.wire.errors import Denied, InvalidParams, Locked, StorageFailed
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

from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..store.pages import Order, fit, page
from . import audit, entries, search, store
from .audit import Note
from .cipher import Damaged, wipe
from .entries import About
from .keyring import Opened
from .search import Known
from .store import EntryRow
from .visit import IS_ID, Visit, missing

BY_NAME = Order("vault.list name", str)

ASKED = "vault.asked"


@serves
async def retrieve_secret(ctx: ControlCtx, call: RetrieveSecret) -> OpenEntry:
    visit = Visit.of(ctx, call.method)
    opened, row = await _read(visit, call.id)
    if visit.is_agent and not _about(opened, row).agent_readable:
        await _confirmed(visit, opened, row.id, call.wait_seconds)
        opened, row = await _read(visit, row.id)
    try:
        about = entries.open_about(opened.key, row)
        value = entries.open_value(opened.key, row)
    except Damaged:
        await visit.note(Note("retrieve", row.id, "damaged"))
        raise StorageFailed(
            "what is stored of this entry doesn't open: it is damaged",
            hint="Lock and unlock the vault: that finds all that is damaged. A backup may have it.",
        ) from None
    visit.looked("retrieve", row.id)
    found = OpenEntry(**entries.shown(row.id, row.revision, about), value=Raw(bytes(value)))
    wipe(value)
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
    return page(
        islice(fitting, call.limit + 1), call.limit, _entry, lambda known: BY_NAME.cursor(search.name_of(known))
    )


@serves
def search_secrets(ctx: ControlCtx, call: SearchSecrets) -> Page[FoundEntry]:
    visit = Visit.of(ctx, call.method)
    opened = visit.opened()
    hits = opened.contents.search(call.query, call.category, call.offset + call.limit)[call.offset :]
    visit.looked("search")
    return Page(
        items=fit(
            FoundEntry(
                **entries.shown(known.id, known.revision, known.about),
                score=score,
                snippet=search.snippet(known, call.query),
            )
            for score, known in hits
        )
    )


@serves
def audit_vault(ctx: ControlCtx, call: AuditVault) -> Page[Access]:
    visit = Visit.of(ctx, call.method)
    entry_id: str | None = call.id
    if call.id is not None and not IS_ID.fullmatch(call.id):
        known = visit.opened().contents.find(call.id)
        if known is None:
            raise InvalidParams("id is neither the name nor the id of an entry", field="id")
        entry_id = known.id
    return audit.listed(ctx.store.inline, entry_id, call.action, call.limit, call.cursor)


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
        await visit.note(Note("confirm", waiting.entry_id, "denied"))
        raise Denied("an agent can't confirm for a person", hint="Confirm it in a terminal: kept vault confirm.")
    await visit.note(Note("confirm" if call.answer == "allow" else "refuse", waiting.entry_id))
    waiting.give(call.answer)
    return waiting.shown()


async def _confirmed(visit: Visit, opened: Opened, entry_id: str, seconds: int) -> None:
    """Wait until a person says yes. Raises `Denied`, and `Locked` where the vault is locked meanwhile."""
    known = opened.contents.get(entry_id)
    answer = "deny"
    if seconds and known is not None:
        asking = visit.keyring.asking
        with asking.request(entry_id, known.about.name, visit.caller, visit.clock, seconds) as waiting:
            await visit.note(Note("ask", entry_id), notice=ASKED)
            answer = await waiting.wait(visit.clock)
    if answer == "allow":
        return
    if answer == "locked":
        raise Locked("the vault was locked before anybody confirmed it")
    await visit.note(Note("retrieve", entry_id, "denied"))
    if answer == "late":
        raise Denied(f"nobody confirmed it within {seconds} s", hint="Ask the person, and try again.")
    raise Denied(
        "a person said no" if seconds else "an agent may not read this entry",
        hint="Ask with wait_seconds, and the person answers with `kept vault confirm`; or use it unread, with "
        "`kept vault run`.",
    )


async def _read(visit: Visit, ref: str) -> tuple[Opened, EntryRow]:
    """What is open, and the row of an entry. Raises `Locked` and `NotFound`."""
    while True:
        opened = visit.opened()
        known = opened.contents.find(ref)
        if known is None:
            await visit.note(Note("retrieve", outcome="not_found"))
            raise missing()
        stored, row = store.found(visit.store.inline, known.id)
        if stored == opened.header.head and row is not None:
            return opened, row
        # A change has been stored and is not in memory yet: after its turn it is.
        async with visit.keyring.turn:
            pass


def _about(opened: Opened, row: EntryRow) -> About:
    known = opened.contents.get(row.id)
    assert known is not None
    return known.about


def _entry(known: Known) -> Entry:
    return entries.entry(known.id, known.revision, known.about)
