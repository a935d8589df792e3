"""data.*: all of it at once: into one archive, out of one, or away.

The daemon opens no path that a client names. An archive passes in parts: `data.export_all` makes one and `data.read`
gives it; `data.begin` and `data.write` take one and `data.import_all` reads it.
daemon/keptd/data/FORMAT.md says what is in it.
"""

from __future__ import annotations

from typing import Annotated, Literal, NewType

from msgspec import Meta, Struct

from . import Control, Done, Time
from .errors import Conflict, Denied, InvalidParams, NotFound, QuotaExceeded, StorageFailed, StorageFull

TransferId = NewType("TransferId", str)

PART_BYTES = 4 * 1024 * 1024
"""The most of an archive that one call carries."""

Transfer = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="The id that data.export_all or data.begin gave.")]
Offset = Annotated[int, Meta(ge=0, le=2**62, description="A place in the archive, in bytes.")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of the whole archive, in hexadecimal.")]


class Archive(Struct, frozen=True, kw_only=True):
    """An archive that waits to be fetched; for a day, or until the daemon stops."""

    id: TransferId
    bytes: int
    sha256: str
    created_at: Time
    rows: dict[str, int]
    """How many rows are in it, by table."""
    files: int
    """How many files from beside the database are in it."""


class Part(Struct, frozen=True, kw_only=True):
    """A piece of an archive, in base64; empty behind its end."""

    offset: int
    data: str


class Upload(Struct, frozen=True, kw_only=True):
    """An archive on its way into the daemon: how much has come."""

    id: TransferId
    received: int
    bytes: int


class Imported(Struct, frozen=True, kw_only=True):
    """What an import brought."""

    rows: dict[str, int]
    files: int
    seq: int
    """The place of the import in the change log."""
    replaced: int
    """Rows that were there before, and went."""
    backup_id: str | None
    """The backup of the state before, where something was replaced."""


class Deleted(Struct, frozen=True, kw_only=True):
    """What a deletion of everything removed, and what it left."""

    rows: int
    files: int
    seq: int
    """The place of the deletion in the change log, which goes on from there."""
    left: tuple[str, ...]
    """Folders that were left as they are, because they were not asked for."""


class ExportAll(Control[Archive], frozen=True, kw_only=True):
    """Put everything that is kept into one archive, as it is at one moment, for another machine or for safe keeping.

    Credentials that were let through, and all that is kept, are in it as they are: guard it as you guard the database.
    Receipts of writes, the history of the jobs, backups and settings are not in it.
    """

    method = "data.export_all"
    errors = (QuotaExceeded, StorageFull, StorageFailed)


class ReadArchive(Control[Part], frozen=True, kw_only=True):
    """A part of an archive that `data.export_all` made."""

    method = "data.read"
    errors = (NotFound,)

    id: Transfer
    offset: Offset
    length: Annotated[int, Meta(ge=1, le=PART_BYTES, description="How many bytes at most, up to 4 MiB.")] = PART_BYTES


class DiscardArchive(Control[Done], frozen=True, kw_only=True):
    """Remove an archive from the daemon's side, fetched or not, whole or not."""

    method = "data.discard"
    errors = (NotFound,)

    id: Transfer


class BeginUpload(Control[Upload], frozen=True, kw_only=True):
    """Announce an archive that is to be imported. Refused where the disk has no room for it."""

    method = "data.begin"
    errors = (StorageFull, QuotaExceeded)

    bytes: Annotated[int, Meta(ge=1, le=2**62, description="The size of the archive.")]
    sha256: Sha256


class WritePart(Control[Upload], frozen=True, kw_only=True):
    """Send a part of an archive. Parts come in order, without a gap."""

    method = "data.write"
    errors = (NotFound, Conflict, InvalidParams, StorageFull)

    id: Transfer
    offset: Offset
    data: Annotated[str, Meta(min_length=4, max_length=5_592_408, description="Up to 4 MiB, in base64.")]


class ImportAll(Control[Imported], frozen=True, kw_only=True):
    """Take over everything that is in an archive. It is checked as a whole first, and then takes effect in one step.

    Into an empty home, unless what is there is to be replaced; then a backup is made first. Subscribers see a change of
    the entity `database`. `$/progress` tells how far it is. An agent replaces nothing.
    """

    method = "data.import_all"
    errors = (NotFound, Conflict, Denied, StorageFull, StorageFailed)

    id: Transfer
    on_conflict: Annotated[
        Literal["refuse", "replace"], Meta(description="What to do where the home is not empty.")
    ] = "refuse"


class DeleteAll(Control[Deleted], frozen=True, kw_only=True):
    """Delete everything that is kept, so that nothing of it can be read from kept's files. There is no way back.
    Not for agents.

    Entries, history, trash, change log, search indexes, mirror and archives go; settings and the log of the daemon
    stay, which hold nothing of what is kept; backups and quarantined files go where `backups` says so. What was in a
    file is overwritten before it is removed; a file system that writes to new places (copy on write, snapshots, flash
    disks) may keep former blocks that no file shows any more.
    """

    method = "data.delete_all"
    errors = (Denied, InvalidParams, StorageFull, StorageFailed)

    confirm: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="`delete everything in NAME`, where NAME is the name of the home's folder.",
        ),
    ]
    backups: Annotated[bool, Meta(description="Backups and quarantined files as well.")] = False
