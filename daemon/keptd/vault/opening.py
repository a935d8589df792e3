"""Passwords, tried one at a time; making the vault and unlocking it.

A password that must wait, as after wrong ones (`throttle`), is refused untried. A full disk keeps nobody from reading:
the vault is unlocked there as well, with a line in the log where the audit list and the count can't take it.

An agent that knows the password may unlock: it gets no more then than the vault lets agents have. That an agent is told
from a person by what it said of itself guards against accidents, not against a hostile program of the same user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio.to_thread
import apsw
import structlog

from kept.wire.errors import Busy, Conflict, Denied, StorageFull
from kept.wire.vault import Kdf, LockVault, VaultStatus

from ..clock import SECOND, to_time
from ..store.changes import ChangeLog
from ..store.ids import new_id
from . import audit, inspection, keys, store, throttle
from .audit import Note
from .cipher import Damaged, wipe
from .inspection import Inspected
from .keyring import Keyring, Opened
from .keys import DataKey, KdfParameters
from .search import Contents
from .store import Header
from .visit import ENTITY, Visit, absent, following

DAMAGED = "vault.damaged"

log = structlog.get_logger(__name__)

QUEUE = 8
"""Passwords that wait for their turn to be tried."""


def policy(visit: Visit) -> KdfParameters:
    """How a password is to become a key, by the settings."""
    return KdfParameters(visit.settings.memory_kib, visit.settings.passes, visit.settings.lanes)


def wrapped_by(password: str, header: Header, data_key: bytearray, parameters: KdfParameters) -> Header:
    """The header with this data key wrapped under a password, with a new salt. Takes its time."""
    salt = keys.new_salt()
    secret = keys.password_bytes(password)
    try:
        kek = keys.derive_kek(secret, salt, parameters)
    finally:
        wipe(secret)
    try:
        wrapped = keys.wrap(kek, data_key, keys.context(header.id, header.key_version, salt, parameters))
    finally:
        wipe(kek)
    return header._replace(
        salt=salt,
        memory_kib=parameters.memory_kib,
        passes=parameters.passes,
        lanes=parameters.lanes,
        wrapped=wrapped,
    )


async def prove(visit: Visit, action: str, password: str) -> tuple[Header, DataKey]:
    """The vault's data key, by its password; for the caller to wipe.

    Raises `NotFound` without a vault, `Busy` where the password must wait, and `Denied` where it is wrong.
    """
    return await tried(visit, action, "the password is wrong", partial(_unwrapped, password))


async def tried(
    visit: Visit, action: str, wrong: str, unwrap: Callable[[Header], bytearray | None]
) -> tuple[Header, DataKey]:
    """As `prove`, with whatever opens the data key of a header, in a thread; it gives None where it doesn't. Raises
    what `unwrap` raises."""
    deriving = visit.keyring.deriving
    if deriving.statistics().tasks_waiting >= QUEUE:
        raise Busy("many passwords are being tried at once", retry_after_ms=1000)
    async with deriving:
        header = store.header(visit.store.inline)
        if header is None:
            raise absent()
        left = throttle.seconds_left(visit)
        if left:
            raise _waiting(left)
        # Neither this nor the write is given up with the caller: who hangs up in time has tried as well.
        secret = await anyio.to_thread.run_sync(unwrap, header)
        if secret is not None:
            visit.keyring.wrong[visit.is_agent].uncounted = 0
            return header, DataKey(header.id, header.key_version, secret)
        failures = await throttle.count(visit, action, header)
    raise Denied(
        f"{wrong}, or the vault's header was changed",
        hint=_after(throttle.pause(failures)),
        failures=failures,
        retry_after_ms=throttle.pause(failures) * 1000,
    )


def _unwrapped(password: str, header: Header) -> bytearray | None:
    secret = keys.password_bytes(password)
    context = keys.context(header.id, header.key_version, header.salt, header.kdf)
    try:
        kek = keys.derive_kek(secret, header.salt, header.kdf)
    except Damaged:
        return None
    finally:
        wipe(secret)
    try:
        return keys.unwrap(kek, header.wrapped, context)
    except Damaged:
        return None
    finally:
        wipe(kek)


def _waiting(seconds: float) -> Busy:
    return Busy(
        "after so many wrong passwords the next one has to wait",
        hint=_after(seconds),
        retry_after_ms=round(seconds * 1000),
    )


def _after(seconds: float) -> str:
    return f"Try again in {max(1, round(seconds))} s." if seconds else "Try again."


async def init(visit: Visit, password: str) -> VaultStatus:
    """Make the vault, and unlock it, unless it is locked meanwhile. Raises `Conflict` where there is one."""
    locks = visit.keyring.locks
    async with visit.keyring.turn:
        if store.header(visit.store.inline) is not None:
            raise Conflict("there is a vault already", hint="vault.unlock opens it.")
        if store.count(visit.store.inline):
            raise Conflict(
                "the vault's own row is lost, and with it the key of the entries that are still there",
                hint="Restore a backup: backup.list shows them. To begin anew, delete everything (data.delete_all).",
            )
        now = visit.clock.now()
        key = DataKey(new_id(), 1)
        bare = Header(key.vault_id, now, b"", 0, 0, 0, b"", 1, None, None, 0, b"")

        def step(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
            if store.header(db) is not None:
                raise Conflict("there is a vault already", hint="vault.unlock opens it.")
            store.put_header(db, header)
            store.forgive_all(db)
            audit.begin_anew(db)
            audit.add(db, now, visit.caller, Note("init", revision=header.counter))
            changes.add(ENTITY, header.id)

        with key.wiped_on_failure():
            async with visit.keyring.deriving:
                wrapped = await anyio.to_thread.run_sync(wrapped_by, password, bare, key.secret, policy(visit))
            header = following(key, wrapped, 0, 0)
            await visit.write(step)
            if visit.keyring.locks == locks:
                _open(visit, key, Inspected(header, [], 0, None))
            else:
                key.wipe()
    return status(visit)


async def unlock(visit: Visit, password: str, *, despite_damage: bool) -> VaultStatus:
    """Unlock it, and raise the cost of a guess where the settings ask for more. Raises as `prove`, and `Conflict` where
    it is damaged, unless that is to be overlooked."""
    visit.lock_if_due()
    locks = visit.keyring.locks
    header, key = await prove(visit, "unlock", password)
    with key.wiped_on_failure():
        async with visit.keyring.turn:
            found = await examined(visit, header, key)
            if found.trouble is not None and not despite_damage:
                await refuse_damaged(visit, "unlock", found)
            stored = found.header
            wanted = header.kdf.raised_to(policy(visit))
            if found.trouble is None and wanted != header.kdf:
                async with visit.keyring.deriving:
                    raised = await anyio.to_thread.run_sync(wrapped_by, password, found.header, key.secret, wanted)
                found.header = following(key, raised, len(found.known), found.total)
            try:
                await come_in(visit, key, found, stored.head, "unlock", locks)
            except StorageFull:
                log.warning("the vault is unlocked on a full disk, and its audit list doesn't say so")
                found.header = stored
                _open_unless_locked(visit, key, found, locks, "Repeat it.")
    return status(visit)


async def examined(visit: Visit, header: Header, key: DataKey) -> Inspected:
    """Look at everything with a key that belongs to a header; to be called in turn. Raises `Conflict` where that is no
    longer the vault's."""

    def read() -> Inspected | None:
        with visit.store.snapshot() as db:
            return inspection.look(db, key)

    found = await anyio.to_thread.run_sync(read)
    if found is None or found.header.wrapped != header.wrapped:
        raise Conflict("the vault was changed meanwhile", hint="Repeat it.")
    return found


async def refuse_damaged(visit: Visit, action: str, found: Inspected) -> None:
    """Write down that it is damaged, and raise the `Conflict` that says so."""
    trouble = found.trouble
    assert trouble is not None
    visit.keyring.found(trouble.damaged, trouble.problem)
    await visit.refused(Note(action, outcome="damaged"), notice=DAMAGED, about=found.header.id)
    raise Conflict(trouble.problem, hint="vault.status shows the ids.", damaged=list(trouble.damaged))


async def come_in(visit: Visit, key: DataKey, found: Inspected, before: bytes, action: str, locks: int) -> None:
    """Store the header that was found, or made of it, forgive what was wrong, and have it open; to be called in turn.

    `before` is the head that was found: a vault that has another one by then, as after a restore, must not get a header
    that opens nothing of it. `locks` is how often it had been locked when this was asked for: a lock since then, as
    that of a machine which goes to sleep, is the last word, and nothing else is stored than that it came too late.
    Raises `Conflict` in both cases.
    """
    is_stored = False

    def step(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
        nonlocal is_stored
        if store.head(db) != before:
            raise Conflict("the vault was replaced meanwhile", hint="Repeat it.")
        is_stored = visit.keyring.locks == locks
        if not is_stored:
            audit.add(db, now, visit.caller, Note(action, outcome="locked"))
            return
        store.put_header(db, found.header)
        store.forgive(db, visit.is_agent)
        # A counter that isn't to be believed is none to compare with.
        came = Note(action, outcome="damaged") if found.trouble else Note(action, revision=found.header.counter)
        audit.add(db, now, visit.caller, came)
        changes.add(ENTITY, found.header.id)

    with _expected(visit, found.header.head):
        await visit.write(step, frees_space=action == "unlock")
    if is_stored and visit.keyring.locks != locks:
        # The lock fell between the write and this: what was written down of it is no longer so.
        await visit.refused(Note(action, outcome="locked"), notice=LockVault.method, about=found.header.id)
    is_new = is_stored and action == "recover"
    _open_unless_locked(visit, key, found, locks, "Unlock it with the new password." if is_new else "Repeat it.")


def _open_unless_locked(visit: Visit, key: DataKey, found: Inspected, locks: int, hint: str) -> None:
    if visit.keyring.locks != locks:
        raise Conflict("the vault was locked meanwhile", hint=hint)
    _open(visit, key, found)


@contextmanager
def _expected(visit: Visit, head: bytes) -> Iterator[None]:
    """Who reads meanwhile what is unlocked already may meet this head."""
    opened = visit.keyring.opened
    if opened is not None:
        opened.coming = head
    try:
        yield
    finally:
        if opened is not None:
            opened.coming = None


def _open(visit: Visit, key: DataKey, found: Inspected) -> None:
    boot = visit.clock.boot()
    visit.keyring.open(
        Opened(
            key=key,
            header=found.header,
            contents=Contents(found.known),
            total=found.total,
            unlocked_at=visit.clock.now(),
            began=boot,
            used=boot,
            trouble=found.trouble,
        )
    )


def status(visit: Visit) -> VaultStatus:
    """How the vault is. It doesn't count as used."""
    db = visit.store.inline
    header = store.header(db)
    visit.lock_if_due()
    keyring = visit.keyring
    if keyring.opened is not None and not keyring.opened.is_of(header.head if header is not None else None):
        keyring.replaced()
    if header is None:
        lost = store.count(db)
        problem = (
            f"The vault's own row is lost, and with it the key of {lost} entries. Restore a backup." if lost else None
        )
        return VaultStatus(state="absent", entries=lost, problem=problem)
    opened = keyring.opened
    damaged, problem = _wrong_with(keyring)
    state, locks_at, locks_by = "locked", None, None
    if opened is not None:
        state = "read_only" if opened.trouble else "unlocked"
        idle, hard = opened.seconds_left(visit.settings, visit.clock.boot())
        now = visit.clock.now()
        locks_at, locks_by = to_time(now + round(idle * SECOND)), to_time(now + round(hard * SECOND))
    return VaultStatus(
        state=state,
        created_at=to_time(header.created_at),
        kdf=Kdf(memory_kib=header.memory_kib, passes=header.passes, lanes=header.lanes),
        key_version=header.key_version,
        counter=header.counter,
        entries=store.count(db),
        has_recovery_code=header.recovery is not None,
        failures=throttle.failures(visit, of_agents=visit.is_agent),
        agents_failures=throttle.failures(visit, of_agents=True),
        retry_after_ms=round(throttle.seconds_left(visit) * 1000),
        rights_withheld=sum(known.about.rights_withheld for known in opened.contents) if opened else 0,
        unlocked_at=to_time(opened.unlocked_at) if opened else None,
        locks_at=locks_at,
        locks_by=locks_by,
        damaged=damaged,
        problem=problem,
    )


def _wrong_with(keyring: Keyring) -> tuple[tuple[str, ...], str | None]:
    """The ids of what is damaged as far as it is known, and a sentence."""
    trouble, unread = keyring.trouble, keyring.unread
    if trouble is not None:
        return tuple(sorted(unread.union(trouble.damaged))), trouble.problem
    if not unread:
        return (), None
    some = (
        "The value of 1 entry doesn't open" if len(unread) == 1 else f"The values of {len(unread)} entries don't open"
    )
    return tuple(sorted(unread)), (
        f"{some}. Restore a backup that has what is lost (`kept backup list`), or give new values with `kept vault "
        "update`. `kept vault rotate` then changes nothing, and names all that don't open."
    )
