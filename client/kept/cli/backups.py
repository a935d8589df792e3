"""Backups as people read them: which there are, what is wrong with one, and how to go back to it."""

from __future__ import annotations

from ..wire import Done
from ..wire.backup import Backup, Backups, CreateBackup, DeleteBackup, Restored, VerifyBackup
from .surface import Surface
from .table import Row, table
from .text import clean, counted, one_line, size
from .views import Views, views


class _BackupRow(Row, frozen=True, kw_only=True):
    right_columns = ("age", "size")

    id: str
    age: str
    what: str
    size: str
    rows: int
    check: str


def show_backups(backups: Backups, surface: Surface) -> None:
    """A table, a line with the total, and what is wrong with which."""
    if not backups.items:
        surface.note("no backups yet; kept backup create makes one")
        return
    surface.out(table([_backup_row(backup, surface) for backup in backups.items], surface))
    surface.line(f"{counted(len(backups.items), 'backup')}, {size(backups.bytes)} in {clean(backups.folder)}")
    for backup in backups.items:
        if backup.problem is not None:
            surface.line(f"{clean(backup.id)} can't be restored: {one_line(backup.problem)}")


def _backup_row(backup: Backup, surface: Surface) -> _BackupRow:
    kind = one_line((backup.kind or "unknown").replace("_", " "))
    own = backup.label is not None and backup.kind in ("manual", None)
    check = "verified" if backup.verified_at is not None else "not yet"
    return _BackupRow(
        id=clean(backup.id),
        age=surface.how_far(backup.created_at),
        what=one_line(backup.label or "") if own else kind,
        size=size(backup.bytes),
        rows=backup.rows,
        check=check if backup.problem is None else "bad",
    )


def show_created(backup: Backup, surface: Surface) -> None:
    """What was made, and how to go back to it."""
    surface.line(f"backed up {counted(backup.rows, 'row')} as {clean(backup.id)} ({size(backup.bytes)}, verified)")
    surface.line(f"to go back to it: kept backup restore {clean(backup.id)}")


def show_verified(backup: Backup, surface: Surface) -> None:
    """That it would come back."""
    surface.line(f"{clean(backup.id)} is sound: {counted(backup.rows, 'row')} would come back ({size(backup.bytes)})")


def show_restored(restored: Restored, surface: Surface) -> None:
    """What was gone back to, and how to undo it."""
    backup = restored.backup
    made = f"made {surface.when(backup.created_at)}, {counted(backup.rows, 'row')}"
    surface.line(f"went back to {clean(backup.id)} ({made})")
    surface.line("what was there before is kept as a backup")
    surface.line(f"to undo this: kept backup restore {clean(restored.undo_id)}")


def show_deleted(done: Done, surface: Surface) -> None:
    """That it is gone for good."""
    surface.line(f"deleted the backup {clean(done.id)}")
    surface.line("those that are left: kept backup list")


BACKUPS: Views = views(
    {
        Backups: show_backups,
        CreateBackup: show_created,
        VerifyBackup: show_verified,
        Restored: show_restored,
        DeleteBackup: show_deleted,
    }
)
