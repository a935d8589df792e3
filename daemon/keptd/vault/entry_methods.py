"""Handlers that change entries: stored, updated, deleted. What an agent may change is said in `methods`.

Retries: a change with an idempotency key leaves a receipt in its own write, with a keyed hash of the request; the
answer to a repeated one is the entry as it is by then. What a receipt from before a rotation was for can't be told any
more, so that its key is refused.
"""

from __future__ import annotations

import hmac
import unicodedata
from typing import Any

import apsw
import msgspec
from msgspec import UNSET

from kept.wire import Done
from kept.wire.errors import Conflict, Denied, InvalidParams
from kept.wire.vault import DeleteSecret, Entry, StoreSecret, UpdateSecret

from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..store.changes import ChangeLog
from ..store.ids import new_id
from ..store.values import encode_value
from ..store.versions import check_version
from . import entries, head, names, quota, search, store
from .audit import Note
from .cipher import Damaged, wipe
from .entries import METADATA_BYTES, About
from .keyring import Opened
from .search import Known
from .store import EntryRow, Receipt
from .visit import IS_ID, Visit, following, missing

_encode = msgspec.json.Encoder().encode


@serves
async def store_secret(ctx: ControlCtx, call: StoreSecret) -> Entry:
    """Agents may: they know what they store."""
    visit = Visit.of(ctx, call.method)
    value = encode_value("value", call.value).encode()
    metadata = _metadata(call.metadata or {})
    async with visit.turn() as opened:
        if call.idempotency_key is not None and (done := _receipt(visit, opened, call, call.idempotency_key)):
            return _as_it_is(visit, opened, done)
        _check_name(opened, call.name, None)
        now = visit.clock.now()
        about = About(
            name=call.name,
            category=call.category,
            tags=_once(call.tags),
            metadata=metadata,
            agent_readable=call.agent_readable,
            agent_usable=call.agent_usable,
            created_at=now,
            updated_at=now,
        )
        row = entries.seal(opened.key, new_id(), 1, about, value)
        await _put(visit, opened, row, about, None, Note("store", row.id, revision=1), call)
    return entries.entry(row.id, row.revision, about, to_agent=visit.is_agent)


@serves
async def update_secret(ctx: ControlCtx, call: UpdateSecret) -> Entry:
    """Both fields are sealed anew, also where only one changes."""
    visit = Visit.of(ctx, call.method)
    value = None if call.value is UNSET else encode_value("value", call.value).encode()
    metadata = None if call.metadata is None else _metadata(call.metadata)
    async with visit.turn() as opened:
        if call.idempotency_key is not None and (done := _receipt(visit, opened, call, call.idempotency_key)):
            return _as_it_is(visit, opened, done)
        known = _find(opened, call.id)
        rights = (call.agent_readable, call.agent_usable)
        if visit.is_agent and (not known.about.agent_readable or rights != (None, None)):
            await visit.refused(Note("update", known.id, "denied"))
            raise Denied(
                "an agent changes only what it may read, and not what agents may", hint="Ask a person to do it."
            )
        check_version("entry", known.revision, call.if_version)
        if call.name is not None:
            _check_name(opened, call.name, known)
        former = known.about
        about = About(
            name=former.name if call.name is None else call.name,
            category=former.category if call.category is None else call.category,
            tags=former.tags if call.tags is None else _once(call.tags),
            metadata=former.metadata if metadata is None else metadata,
            agent_readable=former.agent_readable if call.agent_readable is None else call.agent_readable,
            agent_usable=former.agent_usable if call.agent_usable is None else call.agent_usable,
            created_at=former.created_at,
            updated_at=visit.clock.now(),
        )
        plain = _present_value(visit, opened, known) if value is None else bytearray(value)
        row = entries.seal(opened.key, known.id, known.revision + 1, about, plain)
        wipe(plain)
        await _put(visit, opened, row, about, known, Note("update", row.id, revision=row.revision), call)
    return entries.entry(row.id, row.revision, about, to_agent=visit.is_agent)


@serves
async def delete_secret(ctx: ControlCtx, call: DeleteSecret) -> Done:
    """Of a full disk as well: it makes room."""
    visit = Visit.of(ctx, call.method)
    async with visit.turn() as opened:
        if call.idempotency_key is not None and (done := _receipt(visit, opened, call, call.idempotency_key)):
            return Done(id=done.entry_id)
        known = _find(opened, call.id)
        if visit.is_agent:
            await visit.refused(Note("delete", known.id, "denied"))
            raise Denied("an agent deletes no secrets, since nothing brings them back", hint="Ask a person to do it.")
        check_version("entry", known.revision, call.if_version)
        total = head.removed(opened.total, known.leaf)
        header = following(opened.key, opened.header, len(opened.contents) - 1, total)
        receipt = _request(opened, call, known.id)

        def apply(db: apsw.Connection, _changes: ChangeLog, now: int) -> None:
            store.delete(db, (known.id,))
            store.withhold_no_longer(db, known.id)
            if call.idempotency_key is not None:
                store.keep_receipt(db, call.idempotency_key, Receipt(receipt, header.key_version, known.id), now)

        await visit.change(opened, header, Note("delete", known.id, revision=0), apply, frees_space=True)
        opened.total = total
        opened.contents.remove(known.id)
        visit.keyring.unread.discard(known.id)
    return Done(id=known.id, label=known.about.name)


async def _put(
    visit: Visit,
    opened: Opened,
    row: EntryRow,
    about: About,
    former: Known | None,
    note: Note,
    call: StoreSecret | UpdateSecret,
) -> None:
    """Store a row in the place of `former`, and remember it."""
    outline = row.outline
    leaf = head.leaf(opened.key, outline)
    known = search.known(row.id, row.revision, about, leaf, len(row.about) + len(row.value))
    quota.check(visit.settings, opened.contents, int(former is None), known.bytes - (former.bytes if former else 0))
    total = head.added(opened.total if former is None else head.removed(opened.total, former.leaf), leaf)
    header = following(opened.key, opened.header, len(opened.contents) + (former is None), total)
    receipt = Receipt(_request(opened, call, row.id), row.key_version, row.id)

    def apply(db: apsw.Connection, _changes: ChangeLog, now: int) -> None:
        if former is None:
            store.insert(db, row)
        else:
            store.update(db, (row,))
            store.withhold_no_longer(db, row.id)
        if call.idempotency_key is not None:
            store.keep_receipt(db, call.idempotency_key, receipt, now)

    await visit.change(opened, header, note, apply)
    opened.total = total
    visit.keyring.unread.discard(row.id)
    if not opened.key.is_wiped:
        opened.contents.put(known)


def _check_name(opened: Opened, name: str, own: Known | None) -> None:
    if IS_ID.fullmatch(name):
        raise InvalidParams("name has the form of an id", hint="Choose another name.", field="name")
    if own is not None and name == own.about.name:
        return
    names.check(name)
    taken = next((known for known in opened.contents.alike(name) if known is not own), None)
    if taken is not None:
        is_same = unicodedata.normalize("NFC", taken.about.name) == unicodedata.normalize("NFC", name)
        raise Conflict(
            "the name is taken" if is_same else "the name looks like one that is taken",
            hint="vault.update changes the entry that has it.",
            field="name",
            id=taken.id,
        )


def _present_value(visit: Visit, opened: Opened, known: Known) -> bytearray:
    _, row = store.found(visit.store.inline, known.id)
    try:
        if row is not None and head.leaf(opened.key, row) == known.leaf:
            return entries.open_value(opened.key, row)
    except Damaged:
        pass
    visit.keyring.unread.add(known.id)
    raise Conflict(
        "the present value is damaged, so it can't be kept", hint="Send a value as well, or restore a backup."
    )


def _receipt(visit: Visit, opened: Opened, call: StoreSecret | UpdateSecret | DeleteSecret, key: str) -> Receipt | None:
    """What was done with this idempotency key. Raises `Conflict` where that was something else, or can't be told."""
    done = store.receipt(visit.store.inline, key)
    if done is not None and done.key_version != opened.key.version:
        raise Conflict(
            "the idempotency_key was used before the vault's keys were changed, so what it was for can't be told",
            hint="Look whether it was done; to do it, use another idempotency_key.",
            field="idempotency_key",
        )
    if done is not None and not hmac.compare_digest(done.request, _request(opened, call, done.entry_id)):
        raise Conflict(
            "the idempotency_key was used for another request within the last day",
            hint="Give every request a key of its own; repeat a key only to repeat the very same request.",
            field="idempotency_key",
        )
    return done


def _request(opened: Opened, call: Any, entry_id: str) -> bytes:
    """What stands for a request and the entry that it was about: a receipt that was changed answers for nothing."""
    return opened.key.request_hash(f"{entry_id} {call.method} ".encode() + _encode(call))


def _as_it_is(visit: Visit, opened: Opened, done: Receipt) -> Entry:
    known = opened.contents.get(done.entry_id)
    if known is None:
        raise Conflict(
            "this was done, and the entry has gone since",
            hint="Do not repeat it; to do it anew, use another idempotency_key.",
            field="idempotency_key",
        )
    return entries.entry(known.id, known.revision, known.about, to_agent=visit.is_agent)


def _find(opened: Opened, ref: str) -> Known:
    known = opened.contents.find(ref)
    if known is None:
        raise missing()
    return known


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    encode_value("metadata", metadata, METADATA_BYTES)
    return metadata


def _once(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
