"""Somebody at the vault: what they may find open, and how what they do is written down and stored.

A change goes: its turn, a look at what is open, everything sealed and the new head computed, one write, and after the
commit what is in memory. The write refuses where the stored head is not the one that was built upon. Where the disk
leaves the outcome unknown, the vault is locked: the next unlock reads what came of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import apsw
import structlog

from kept.wire import Actor
from kept.wire.errors import Conflict, KeptError, Locked, NotFound, StorageFailed
from kept.wire.vault import LockVault

from .. import config
from ..clock import Clock
from ..store import Store
from ..store.background import PATIENCE_SECONDS, write
from ..store.changes import ChangeLog
from ..store.writer import Outcome, WriteJob, Written
from . import audit, head, store
from .audit import Note
from .keyring import Keyring, Opened
from .keys import DataKey
from .store import Header

if TYPE_CHECKING:
    from ..domain import JobCtx
    from ..rpc.control import ControlCtx

log = structlog.get_logger(__name__)

ENTITY = "vault"
ENTRY = "vault_entry"
"""The entities of the change log; a recovery finds by them what is missing in the tables of these names."""

IS_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The form of an entry's id, which no name may have."""

_LAST_COUNTER = (1 << 63) - 1

Step = Callable[[apsw.Connection, ChangeLog, int], None]
"""What a write does: its connection, where it records changes, and the time in microseconds since 1970."""


def record(changes: ChangeLog, vault_id: str, entry_id: str | None, notice: str | None = None) -> None:
    """Put a change into the log: of an entry, or else of the vault. An id is all that it says."""
    if entry_id is None:
        changes.add(ENTITY, vault_id, notice=notice)
    else:
        changes.add(ENTRY, entry_id, entry_id, notice)


def following(key: DataKey, header: Header, entries: int, total: int) -> Header:
    """A header as it is stored next: with the next counter, and the head over so many entries and their sum. Raises
    `Wiped`."""
    next_one = counted(header)
    return next_one._replace(head=head.tag(key, next_one, entries, total))


def counted(header: Header) -> Header:
    """The header with the next counter. One that somebody set to the last number that fits stays there."""
    return header._replace(counter=min(header.counter + 1, _LAST_COUNTER))


def absent() -> NotFound:
    """There is no vault."""
    return NotFound("there is no vault yet", hint="vault.init makes one, with a password that you choose.")


def missing() -> NotFound:
    """There is no such entry."""
    return NotFound("there is no such entry", hint="vault.list and vault.search show what there is.")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request, or a job, at the vault."""

    store: Store
    clock: Clock
    settings: config.Vault
    caller: Actor
    method: str

    @classmethod
    def of(cls, ctx: ControlCtx, method: str) -> Visit:
        """A request's."""
        return cls(ctx.store, ctx.clock, ctx.config.vault, ctx.peer.actor, method)

    @classmethod
    def of_job(cls, ctx: JobCtx, method: str) -> Visit:
        """A job's."""
        return cls(ctx.store, ctx.clock, ctx.config.vault, ctx.actor, method)

    @property
    def keyring(self) -> Keyring:
        """The daemon's."""
        return self.store.attached.of(Keyring)

    @property
    def is_agent(self) -> bool:
        """Whether the caller said that it is an agent."""
        return self.caller.is_agent

    def opened(self) -> Opened:
        """The unlocked vault. To have looked at it is no use of it: that is what was given or changed. Raises
        `NotFound` without a vault, and `Locked`."""
        return self.look(store.head(self.store.inline))

    def look(self, stored: bytes | None) -> Opened:
        """As `opened`, by the head that was read."""
        keyring = self.keyring
        opened = keyring.opened
        if stored is None:
            # Who looks while a vault is being made locks nothing.
            if opened is not None:
                keyring.replaced()
            raise absent()
        if opened is None:
            raise Locked("the vault is locked")
        if not opened.is_of(stored):
            keyring.replaced()
            raise Locked("the vault was locked, since another copy of it was put in its place")
        if self.lock_if_due():
            raise Locked("the vault was locked, since its time was over")
        return opened

    def lock_if_due(self) -> bool:
        """Lock it where its time is over; whether it was."""
        opened = self.keyring.opened
        if opened is None or opened.seconds_left(self.settings, self.clock.boot())[0] > 0:
            return False
        return self.fall_shut()

    def fall_shut(self) -> bool:
        """Lock it, as the daemon does by itself; whether it was unlocked. That is written down afterwards, without
        being waited for."""
        opened = self.keyring.opened
        if opened is None:
            return False
        self.keyring.lock()
        self._fell_shut(opened.header.id)
        return True

    @asynccontextmanager
    async def turn(self, *, despite_damage: bool = False) -> AsyncIterator[Opened]:
        """The unlocked vault, for a change: nobody else changes it meanwhile. Raises as `opened`, and `Conflict` where
        it can only be read, unless `despite_damage`."""
        async with self.keyring.turn:
            opened = self.opened()
            if opened.trouble is not None and not despite_damage:
                raise Conflict(
                    "the vault was opened despite damage, so nothing can be changed",
                    hint="Restore a backup, or let vault.rotate drop what is damaged.",
                )
            yield opened

    async def write(self, step: Step, *, frees_space: bool = False) -> None:
        """Have the writer do something, to the end, and wait for the commit. Raises `KeptError`."""

        def run(db: apsw.Connection) -> Written:
            now = self.clock.now()
            changes = ChangeLog(db, now, self.caller, self.method)
            step(db, changes, now)
            return Written(b"", changes.last_seq)

        self.keyring.audit_queue.hand_over()
        with anyio.CancelScope(shield=True):
            await write(self.store, self.clock, run, frees_space=frees_space)

    async def change(
        self, opened: Opened, header: Header, note: Note, apply: Step, *, frees_space: bool = False
    ) -> None:
        """Store a change of what is open, in one write: `apply`, the `header` that `following` gave, a line in the
        audit list and one in the change log. What is in memory is the caller's to change, at once afterwards, but for
        the header.

        Raises `KeptError`, with nothing changed, but for `StorageFailed`, after which the vault is locked.
        """
        before = opened.header.head

        def step(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
            if store.head(db) != before:
                raise Conflict("the vault was replaced meanwhile", hint="Nothing was changed. Unlock it, and repeat.")
            apply(db, changes, now)
            store.put_header(db, header)
            audit.add(db, now, self.caller, note if note.entry_id else note._replace(revision=header.counter))
            record(changes, header.id, note.entry_id)

        opened.coming = header.head
        try:
            await self.write(step, frees_space=frees_space)
            opened.header = header
            opened.used = self.clock.boot()
        except StorageFailed:
            self.keyring.lock()
            raise
        finally:
            opened.coming = None

    async def note(self, note: Note, *, notice: str | None = None, about: str = "") -> None:
        """Write something down that changed nothing, and wait for it; with `notice`, also in the change log, as being
        about the entry, or else about the vault with the id `about`. Raises `KeptError`."""

        def step(db: apsw.Connection, changes: ChangeLog, now: int) -> None:
            audit.add(db, now, self.caller, note)
            if notice is not None:
                record(changes, about, note.entry_id, notice)

        await self.write(step)

    async def refused(self, note: Note, *, notice: str | None = None, about: str = "") -> None:
        """As `note`, of what is refused: where it can't be written down, there is a line in the log, and the caller is
        told why it was refused all the same."""
        try:
            await self.note(note, notice=notice, about=about)
        except KeptError as fault:
            log.warning(
                "the vault's audit list misses a refusal", action=note.action, outcome=note.outcome, reason=fault.type
            )

    def looked(self, action: str, entry_id: str | None = None) -> None:
        """Write down that somebody was shown something, without waiting for it; that is a use of the vault."""
        if self.keyring.opened is not None:
            self.keyring.opened.used = self.clock.boot()
        self.keyring.audit_queue.add(self.store, self.clock, self.caller, Note(action, entry_id))

    def _fell_shut(self, vault_id: str) -> None:
        """Write down that it locked itself, without waiting for it."""
        by = Actor(client="keptd", uid=os.getuid(), pid=os.getpid())

        def run(db: apsw.Connection) -> Written:
            now = self.clock.now()
            changes = ChangeLog(db, now, by, LockVault.method)
            audit.add(db, now, by, Note("lock"))
            record(changes, vault_id, None)
            return Written(b"", changes.last_seq)

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, KeptError):
                log.warning("that the vault locked itself is not written down", reason=outcome.type)

        self.keyring.audit_queue.hand_over()
        deadline = self.clock.monotonic() + PATIENCE_SECONDS
        self.store.writer.submit(WriteJob(run, done, deadline, size=0, name=LockVault.method))
