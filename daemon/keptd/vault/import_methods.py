"""vault.import: entries out of another vault's files (`file_vault` reads them), sealed and stored in one write.

An entry is known by its name and value: what is there already is left alone, so that an import may be repeated, and
ends what a former one had left out. An agent that may not read an entry isn't told whether its value is the same, since
ten thousand guesses fit into one import: for it, the name stands for something else. Each new entry is written down
like one that was stored, and an import that brought nothing like a look.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import anyio.to_thread
import apsw

from kept.wire.errors import Denied, InvalidParams
from kept.wire.vault import EntryId, StoreSecret
from kept.wire.vault_import import ImportedSecret, ImportedVault, ImportVault

from ..domain import Tell
from ..offload import in_thread
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..store.changes import ChangeLog
from ..store.ids import new_id
from . import audit, entries, file_vault, head, quota, search, store
from .audit import Note
from .cipher import Damaged
from .entries import About
from .file_vault import Found, Unread
from .keyring import Opened
from .keys import DataKey
from .names import as_seen, cleaned
from .search import Contents, Known
from .store import EntryRow
from .visit import IS_ID, Visit, following, record

_NAME_CHARACTERS = 200
_CLEANED = "is its name, without what doesn't show in the one that it had"


@serves
async def import_vault(ctx: ControlCtx, call: ImportVault) -> ImportedVault:
    """Reading and sealing are done in threads; the vault is held only for the latter."""
    visit = Visit.of(ctx, call.method)
    visit.opened()
    ctx.progress(0, 0, "opening the files")
    try:
        found, unread = await anyio.to_thread.run_sync(partial(_read, call))
    except Denied:
        await visit.refused(Note("import", outcome="wrong_password"))
        raise
    async with visit.turn() as opened:
        # A lock meanwhile takes nothing from under it: neither the key, nor the number of entries that are there.
        contents = opened.contents
        key = DataKey(opened.key.vault_id, opened.key.version, bytearray(opened.key.secret))
        try:
            seal = partial(_sealed, visit, key, contents, found, rename=call.on_conflict == "rename")
            sealed = await in_thread(seal, ctx.progress)
            if sealed.rows:
                ctx.progress(0, 0, "writing")
                await _put(visit, opened, contents, key, sealed)
            else:
                visit.looked("import")
        finally:
            key.wipe()
    left = [ImportedSecret(file=one.file, action="unread", why=one.why) for one in unread]
    return ImportedVault(items=(*sealed.items, *left), stored=len(sealed.rows))


def _read(call: ImportVault) -> tuple[list[Found], list[Unread]]:
    files: dict[str, bytes] = {}
    for place, file in enumerate(call.files):
        if file.name in files:
            raise _wrong(place, "name", "comes twice")
        try:
            files[file.name] = b64decode(file.data, validate=True)
        except binascii.Error:
            raise _wrong(place, "data", "is not base64") from None
    return file_vault.read(call.password, files)


def _wrong(place: int, member: str, why: str) -> InvalidParams:
    return InvalidParams(f"files[{place}].{member} {why}", hint="Send each file once.", field="files")


class _Sealed(NamedTuple):
    """What is to be stored, what is remembered of it, and what became of each file."""

    rows: list[EntryRow]
    known: list[Known]
    items: list[ImportedSecret]


def _sealed(
    visit: Visit, key: DataKey, contents: Contents, found: Sequence[Found], tell: Tell, *, rename: bool
) -> _Sealed:
    sealed = _Sealed([], [], [])
    now = visit.clock.now()
    with visit.store.snapshot() as db:
        places = _Places(db, key, contents, by_agent=visit.is_agent)
        for done, one in enumerate(found):
            tell(done, len(found), "sealing")
            if IS_ID.fullmatch(one.name):
                sealed.items.append(
                    ImportedSecret(file=one.file, action="unread", why="its name has the form of an id")
                )
                continue
            name, there = places.find(one.name, one.value, rename=rename)
            if there is not None:
                action = "same" if there[1] == one.value else "taken"
                item = ImportedSecret(file=one.file, action=action, name=name, id=EntryId(there[0]))
                sealed.items.append(item)
                continue
            created = one.created_at or now
            about = About(name, one.category, one.tags, one.metadata, False, created, one.updated_at or created)
            row = entries.seal(key, new_id(), 1, about, one.value)
            places.take(name, row.id, one.value)
            leaf = head.leaf(key, row.outline)
            sealed.rows.append(row)
            sealed.known.append(search.known(row.id, 1, about, leaf, len(row.about) + len(row.value)))
            is_renamed = one.is_cleaned or name != one.name
            item = ImportedSecret(
                file=one.file,
                action="renamed" if is_renamed else "stored",
                name=name,
                id=EntryId(row.id),
                why=_CLEANED if one.is_cleaned else None,
            )
            sealed.items.append(item)
    return sealed


_There = tuple[str, bytes | None]
"""The id and the value of what has a name; no value where it doesn't open, or isn't told."""


class _Places:
    """Which names are taken by now, and by what.

    Of the names that may stand for one, each is looked at once, and it is remembered where the values are: otherwise
    the import of many entries with one name would take the square of their number.
    """

    def __init__(self, db: apsw.Connection, key: DataKey, contents: Contents, *, by_agent: bool) -> None:
        """Where it is `by_agent`, what it may not read counts as another value, so that it can't guess."""
        self._by_agent = by_agent
        self._db = db
        self._key = key
        self._contents = contents
        self._new: dict[str, _There] = {}
        self._next: dict[str, int] = {}
        self._by_value: dict[tuple[str, bytes | None], tuple[int, _There]] = {}

    def find(self, name: str, value: bytes, *, rename: bool) -> tuple[str, _There | None]:
        """The name for an entry, and what has it, if anything does: the very same or, unless it may be renamed,
        another."""
        if not rename:
            return name, self._present(name)
        seen = as_seen(name)
        if (seen, value) in self._by_value:
            number, there = self._by_value[seen, value]
            return _numbered(name, number), there
        while True:
            number = self._next.get(seen, 1)
            own = _numbered(name, number)
            taken_by = self._present(own)
            if taken_by is None:
                return own, None
            self._next[seen] = number + 1
            self._by_value.setdefault((seen, taken_by[1]), (number, taken_by))
            if taken_by[1] == value:
                return own, taken_by

    def take(self, name: str, entry_id: str, value: bytes) -> None:
        """From now on something has this name."""
        self._new[as_seen(name)] = entry_id, value

    def _present(self, name: str) -> _There | None:
        """What has this name, or one that looks like it."""
        if one := self._new.get(as_seen(name)):
            return one
        known = self._contents.find(name) or next(self._contents.alike(name), None)
        if known is None:
            return None
        is_told = not self._by_agent or known.about.agent_readable
        return known.id, _value(self._db, self._key, known.id) if is_told else None


def _numbered(name: str, number: int) -> str:
    """The name, or one that may stand for it."""
    if number == 1:
        return name
    behind = f" ({number})"
    # What is cut off may have been what a joiner joined.
    return cleaned(name[: _NAME_CHARACTERS - len(behind)]) + behind


def _value(db: apsw.Connection, key: DataKey, entry_id: str) -> bytes | None:
    _, row = store.found(db, entry_id)
    try:
        return bytes(entries.open_value(key, row)) if row is not None else None
    except Damaged:
        return None


async def _put(visit: Visit, opened: Opened, contents: Contents, key: DataKey, sealed: _Sealed) -> None:
    """Store them, and remember them unless the vault was locked meanwhile."""
    quota.check(visit.settings, contents, len(sealed.rows), sum(one.bytes for one in sealed.known))
    total = head.added(opened.total, *(one.leaf for one in sealed.known))
    header = following(key, opened.header, len(contents) + len(sealed.rows), total)

    def apply(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
        for row in sealed.rows:
            store.insert(db, row)
            audit.add(db, now, visit.caller, Note("store", row.id, revision=row.revision))
            record(changes, header.id, row.id, StoreSecret.method)

    await visit.change(opened, header, Note("import"), apply)
    opened.total = total
    if visit.keyring.opened is opened:
        for one in sealed.known:
            contents.put(one)
