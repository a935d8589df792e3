"""backup.*: whole copies of the database, checked by restoring them aside."""

from __future__ import annotations

from typing import Annotated, Literal, NewType

from msgspec import Meta, Struct

from . import Control, Done, Time
from .errors import Conflict, Denied, NotFound, StorageFailed, StorageFull

BackupId = NewType("BackupId", str)

Id = Annotated[
    str,
    Meta(
        pattern="^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$",
        description="The backup's id, as in backup.list: its time, and random digits.",
    ),
]
Kind = Literal["manual", "automatic", "before_migration", "before_restore", "before_delete"]


class Backup(Struct, frozen=True, kw_only=True):
    """A backup, or a folder that looks like one. `problem` says why it can't be restored; None where it can, as far as
    is known. `kind` is None where that can't be read."""

    id: BackupId
    kind: str | None
    label: str | None
    created_at: Time
    bytes: int
    database_bytes: int
    rows: int
    last_seq: int
    """The newest change that is in it."""
    verified_at: Time | None
    problem: str | None


class Backups(Struct, frozen=True, kw_only=True):
    """All backups, newest first."""

    items: tuple[Backup, ...]
    folder: str
    bytes: int


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore did. `undo_id` is the backup of the state before it."""

    backup: Backup
    undo_id: BackupId
    seq: int


class CreateBackup(Control[Backup], frozen=True, kw_only=True):
    """Copy the database as it is now, while it is in use, and check the copy. `$/progress` tells how far it is."""

    method = "backup.create"
    errors = (Conflict, StorageFull, StorageFailed)

    label: Annotated[str, Meta(min_length=1, max_length=80, description="A few words to know it by.")] | None = None


class ListBackups(Control[Backups], frozen=True, kw_only=True):
    """The backups that there are, newest first."""

    method = "backup.list"


class VerifyBackup(Control[Backup], frozen=True, kw_only=True):
    """Restore a backup aside, check the whole of it, and count its rows."""

    method = "backup.verify"
    errors = (NotFound, Conflict)

    id: Id


class RestoreBackup(Control[Restored], frozen=True, kw_only=True):
    """Go back to a backup: it is checked first, the present state is kept as a backup, and the change is one step.

    Connections stay; subscribers see a change of the entity `database`. The vault is locked, and of the entries that
    were changed since the backup agents have no rights until a person gives them again. Its password and its recovery
    code are those of then: where one of them leaked, change it once more. Not for agents.
    """

    method = "backup.restore"
    errors = (NotFound, Conflict, Denied, StorageFull, StorageFailed)

    id: Id


class DeleteBackup(Control[Done], frozen=True, kw_only=True):
    """Delete a backup. Not for agents."""

    method = "backup.delete"
    errors = (NotFound, Conflict, Denied)

    id: Id
