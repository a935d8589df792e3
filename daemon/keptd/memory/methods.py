"""Handlers of memory.*: check, ask the store, record the change."""

from __future__ import annotations

import msgspec

from kept.wire import Done, Page
from kept.wire.errors import Conflict, NotFound
from kept.wire.memory import (
    DeleteMemory,
    FormerValue,
    FoundMemory,
    GetMemory,
    ListMemories,
    Memory,
    MemoryHistory,
    SearchMemories,
    SetMemory,
)

from ..domain import ReadCtx, WriteCtx
from ..rpc.methods import serves
from ..store.pages import fit
from ..store.values import encode_value
from ..store.versions import check_version
from ..trash import store as trash
from . import history, lists, rules, store
from .rows import memory, restored, snapshot

_decode = msgspec.json.Decoder().decode


@serves
def set_memory(ctx: WriteCtx, call: SetMemory) -> Memory:
    """Replace the entry, or add one; an expired one makes way for a new one."""
    now = ctx.clock.now()
    expires_at = rules.expiry(call, now)
    value = encode_value("value", call.value)
    present = store.find(ctx.db, call.scope, call.key)
    if present is not None and present.expired(now):
        store.expire(ctx.db, present)
        present = None
    check_version("entry", present.version if present is not None else 0, call.if_version)
    if present is None:
        version = history.last_version(ctx.db, call.scope, call.key) + 1
        row = rules.new(call, value, expires_at, now, ctx.caller.client, version)
    else:
        changed = rules.changed(present, call, value, expires_at, now, ctx.caller.client)
        if changed is None:
            return memory(present)
        store.end(ctx.db, present, "replaced", now)
        row = changed
    store.insert(ctx.db, row, call.value)
    ctx.changes.add("memory", row.id, row.label)
    return memory(row)


@serves
def get_memory(ctx: ReadCtx, call: GetMemory) -> Memory:
    """One SELECT."""
    found = store.get(ctx.db, call.scope, call.key, ctx.clock.now())
    if found is None:
        raise _missing()
    return found


@serves
def delete_memory(ctx: WriteCtx, call: DeleteMemory) -> Done:
    """Move the entry's value to the history, and the entry to the trash; where the disk is full, let both go."""
    now = ctx.clock.now()
    present = store.find(ctx.db, call.scope, call.key)
    if present is None or present.expired(now):
        raise _missing()
    check_version("entry", present.version, call.if_version)
    if ctx.full:
        store.remove(ctx.db, present)
    else:
        store.end(ctx.db, present, "deleted", now)
        gone = trash.Deleted("memory", present.id, present.label, snapshot(present))
        trash.put(ctx.db, gone, trash.stay(ctx.db, ctx.clock, ctx.config.trash.keep_days), ctx.caller.client)
    ctx.changes.add("memory", present.id, present.label)
    return Done(id=present.id, label=present.label)


def restore_memory(ctx: WriteCtx, stored: str) -> None:
    """From the trash: all that it was, under a version that goes on where its key ended."""
    now = ctx.clock.now()
    row = restored(stored)
    if row.expired(now):
        raise Conflict(
            "the entry has expired meanwhile",
            hint="It stays in the trash; memory.history shows its value, and memory.set keeps it again.",
        )
    present = store.find(ctx.db, row.scope, row.key)
    if present is not None and present.expired(now):
        store.expire(ctx.db, present)
    elif present is not None:
        raise Conflict(
            "its key has been set again meanwhile",
            hint="Delete the present entry first, or take the value from memory.history.",
            version=present.version,
        )
    version = history.last_version(ctx.db, row.scope, row.key) + 1
    back = row._replace(updated_at=now, version=version, actor=ctx.caller.client)
    store.insert(ctx.db, back, _decode(row.value))
    ctx.changes.add("memory", row.id, row.label)


@serves(heavy=lists.heavy)
def list_memories(ctx: ReadCtx, call: ListMemories) -> Page[Memory]:
    """One page, by the index that the filters and the order choose."""
    return lists.entries(ctx.db, call, ctx.clock.now())


@serves(heavy=True)
def search_memories(ctx: ReadCtx, call: SearchMemories) -> Page[FoundMemory]:
    """As many results as fit a message."""
    return Page(items=fit(store.search(ctx.db, call, ctx.clock.now())))


@serves
def memory_history(ctx: ReadCtx, call: MemoryHistory) -> Page[FormerValue]:
    """One SELECT of at most 21 rows."""
    found = history.values(ctx.db, call, ctx.clock.now())
    if found is None:
        raise _missing()
    return found


def _missing() -> NotFound:
    return NotFound(
        "there is no such entry", hint="memory.list and memory.search show what there is; check the key and the scope."
    )
