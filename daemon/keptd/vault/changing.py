"""Other keys: a new password, a new data key, a recovery code, and the way back with it.

Each proves first that the caller may, by the password or the code, and then changes the vault in one write: a daemon
that is killed leaves the vault as it was or as it is to be, and one of the two passwords opens it. Work in a thread has
a key of its own, so that a lock meanwhile takes nothing from under it: it goes on to its end, and leaves nothing open.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import anyio.to_thread
import apsw

from kept.wire.errors import Conflict
from kept.wire.vault import DeleteSecret, RecoveryCode, Rotated, VaultStatus

from ..domain import Tell
from ..offload import in_thread
from ..store import Store
from ..store.changes import ChangeLog
from . import audit, entries, head, keys, opening, recovery_code, rights, store
from .audit import Note
from .cipher import Damaged, wipe
from .keyring import Opened
from .keys import DataKey, KdfParameters
from .search import Contents, Known, known
from .store import EntryRow, Header
from .visit import IS_ID, Visit, absent, counted, following, record


async def change_password(visit: Visit, password: str, new_password: str) -> VaultStatus:
    """Wrap the data key anew. Raises as `opening.prove` and `Visit.turn`."""
    proven, key = await opening.prove(visit, "change_password", password)
    try:
        async with visit.turn() as opened:
            _check_same(opened, proven)
            size = len(opened.contents)
            wrapped = await _wrapped(visit, new_password, opened.header, key)
            header = following(key, wrapped, size, opened.total)
            await visit.change(opened, header, Note("change_password"), _forgive)
    finally:
        key.wipe()
    return opening.status(visit)


async def export_key(visit: Visit, password: str) -> RecoveryCode:
    """Wrap the data key under a code as well. Raises as `change_password`."""
    proven, key = await opening.prove(visit, "export_key", password)
    words, code = recovery_code.make()
    try:
        async with visit.turn() as opened:
            _check_same(opened, proven)
            salt = keys.new_salt()
            kek = keys.derive_code_kek(code, salt)
            sealed = keys.wrap(kek, key.secret, keys.context(key.vault_id, key.version, salt, None))
            wipe(kek)
            told = opened.header._replace(recovery_salt=salt, recovery=sealed)
            header = following(key, told, len(opened.contents), opened.total)
            await visit.change(opened, header, Note("export_key"), _forgive)
    finally:
        wipe(code)
        key.wipe()
    return RecoveryCode(code=words, key_version=header.key_version)


async def recover(visit: Visit, words: str, new_password: str) -> VaultStatus:
    """Give a new password by the code, and unlock; what is damaged stays so, and the vault can be read only.

    Raises as `opening.tried`, `Conflict` where there is no code, and `InvalidParams` for what can't be one.
    """
    code = recovery_code.read(words)
    visit.lock_if_due()
    locks = visit.keyring.locks
    try:
        header = store.header(visit.store.inline)
        if header is None:
            raise absent()
        if header.recovery is None:
            raise Conflict(
                "the vault has no recovery code", hint="vault.export_key makes one; the last rotation ends it."
            )
        proven, key = await opening.tried(visit, "recover", "the code is another vault's", partial(_unwrapped, code))
    finally:
        wipe(code)
    with key.wiped_on_failure():
        async with visit.keyring.turn:
            found = await opening.examined(visit, proven, key)
            before = found.header.head
            if found.trouble is None:
                wrapped = await _wrapped(visit, new_password, found.header, key)
                found.header = following(key, wrapped, len(found.known), found.total)
            else:
                # Its head goes on fitting nothing. What a password costs by it may be what nobody can bear, which is
                # how the way back came to be needed.
                changed = await _wrapped(visit, new_password, found.header, key, opening.policy(visit))
                found.header = counted(changed)
            await opening.come_in(visit, key, found, before, "recover", locks)
    return opening.status(visit)


async def rotate(visit: Visit, password: str, tell: Tell, *, drop_damaged: bool) -> Rotated:
    """Seal everything under a new data key, and tell how far that is. Raises as `change_password`, and `Conflict` where
    something doesn't open, unless it is to be dropped."""
    proven, old = await opening.prove(visit, "rotate", password)
    try:
        async with visit.turn(despite_damage=drop_damaged) as opened:
            _check_same(opened, proven)
            new = DataKey(old.vault_id, old.version + 1)
            with new.wiped_on_failure():
                anew = await in_thread(partial(_sealed_anew, visit.store, old, new, opened.trouble is None), tell)
                if not drop_damaged:
                    visit.keyring.unread.update(anew.dropped)
                    _check_all_open(anew)
                bare = opened.header._replace(key_version=new.version, recovery_salt=None, recovery=None)
                wrapped = await _wrapped(visit, password, bare, new)
                header = following(new, wrapped, len(anew.rows), anew.total)
                withheld = [one.id for one in anew.known if one.about.rights_withheld]
                suspect = set(opened.trouble.damaged) if opened.trouble is not None else set()
                had_code = opened.header.recovery is not None

                def apply(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
                    store.keep_only(db, {row.id for row in anew.rows})
                    store.update(db, anew.rows)
                    store.prune_withheld(db)
                    store.withhold(db, withheld)
                    if opened.trouble is not None:
                        audit.begin_anew(db)
                    _settle(visit, db, changes, now, header, anew, suspect)
                    _forgive(db, changes, now)

                tell(0, 0, "writing")
                await visit.change(opened, header, Note("rotate"), apply)
            _take_up(visit, opened, new, anew)
    finally:
        old.wipe()
    return Rotated(
        entries=len(anew.rows),
        key_version=header.key_version,
        recovery_code_void=had_code,
        dropped=anew.dropped,
    )


def _settle(
    visit: Visit, db: apsw.Connection, changes: ChangeLog, now: int, header: Header, anew: _Anew, suspect: set[str]
) -> None:
    """Write down of each entry that didn't fit whether it is gone for good, or there with this revision: the next look
    compares with that, and no line from before counts, which could outlive these."""
    for row in anew.rows:
        if row.id in suspect:
            audit.add(db, now, visit.caller, Note("rotate", row.id, revision=row.revision))
    for one in sorted(suspect.union(anew.dropped).difference(row.id for row in anew.rows)):
        if IS_ID.fullmatch(one):  # Else somebody changed it, and nothing was ever stored under it.
            audit.add(db, now, visit.caller, Note("drop", one, revision=0))
            record(changes, header.id, one, DeleteSecret.method)


class _Anew(NamedTuple):
    rows: list[EntryRow]
    known: list[Known]
    total: int
    dropped: tuple[str, ...]


def _sealed_anew(kept: Store, old: DataKey, new: DataKey, fits: bool, tell: Tell) -> _Anew:
    rows, remembered, dropped, total = [], [], [], 0
    with kept.snapshot() as db:
        withheld = rights.withheld(db) if fits else store.ids(db)
        count = store.count(db)
        for done, row in enumerate(store.whole(db)):
            tell(done, count, "sealing anew")
            try:
                about = entries.open_about(old, row)
                value = entries.open_value(old, row)
            except Damaged:
                dropped.append(row.id)
                continue
            sealed = entries.seal(new, row.id, row.revision, about, value)
            wipe(value)
            leaf = head.leaf(new, sealed.outline)
            total = head.added(total, leaf)
            rows.append(sealed)
            about = rights.counting(about, is_withheld=row.id in withheld)
            remembered.append(known(row.id, row.revision, about, leaf, len(sealed.about) + len(sealed.value)))
    return _Anew(rows, remembered, total, tuple(dropped))


def _check_all_open(anew: _Anew) -> None:
    if anew.dropped:
        raise Conflict(
            f"{len(anew.dropped)} entries don't open, so nothing was changed",
            hint="Restore a backup that has them, or repeat it with drop_damaged.",
            damaged=list(anew.dropped),
        )


def _take_up(visit: Visit, opened: Opened, key: DataKey, anew: _Anew) -> None:
    """Go on with the new key, unless the vault was locked meanwhile. Either way it is whole now."""
    visit.keyring.trouble = None
    visit.keyring.unread.clear()
    if visit.keyring.opened is not opened:
        key.wipe()
        return
    opened.key.wipe()
    opened.key, opened.contents, opened.total = key, Contents(anew.known), anew.total
    opened.trouble = None


async def _wrapped(
    visit: Visit, password: str, header: Header, key: DataKey, cost: KdfParameters | None = None
) -> Header:
    """The header with a key wrapped under a password; without a `cost`, at that of the settings, or the present one
    where it is higher."""
    cost = cost or header.kdf.raised_to(opening.policy(visit))
    async with visit.keyring.deriving:
        return await anyio.to_thread.run_sync(partial(opening.wrapped_by, password, header, key.secret, cost))


def _unwrapped(code: bytearray, header: Header) -> bytearray | None:
    if header.recovery is None or header.recovery_salt is None:
        return None
    kek = keys.derive_code_kek(code, header.recovery_salt)
    try:
        return keys.unwrap(
            kek, header.recovery, keys.context(header.id, header.key_version, header.recovery_salt, None)
        )
    except Damaged:
        return None
    finally:
        wipe(kek)


def _check_same(opened: Opened, proven: Header) -> None:
    if (opened.header.id, opened.header.wrapped) != (proven.id, proven.wrapped):
        raise Conflict("the vault was changed meanwhile", hint="Repeat it.")


def _forgive(db: apsw.Connection, _changes: ChangeLog, _now: int) -> None:
    store.forgive(db, of_agents=False)  # Nothing here is for agents.
