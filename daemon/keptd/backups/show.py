"""A backup as clients see it."""

from __future__ import annotations

from kept.wire.backup import Backup, BackupId

from ..clock import to_time
from ..store.migrations import Sets
from .place import Found
from .restore import unknown


def as_backup(found: Found, sets: Sets) -> Backup:
    """What was found, with the reason why it can't be restored, as far as is known without unpacking it."""
    manifest = found.manifest
    problem = found.problem or (unknown(manifest, sets) if manifest else None)
    verified = found.checked is not None and problem is None
    return Backup(
        id=BackupId(found.id),
        kind=manifest.kind if manifest else None,
        label=manifest.label if manifest else None,
        created_at=to_time(found.created_at),
        bytes=found.bytes,
        database_bytes=manifest.database_bytes if manifest else 0,
        rows=manifest.rows if manifest else 0,
        last_seq=manifest.last_seq if manifest else 0,
        verified_at=to_time(found.checked.at) if found.checked and verified else None,
        problem=problem,
    )
