"""What `resolve` sets in a row of the journal, the same in every table: a text, who gave it, what it was before."""

from __future__ import annotations

import apsw

from kept.wire.errors import NotFound

from ..store.versions import check_version
from .listing import Row, Table
from .rules import with_former


def resolve(
    db: apsw.Connection,
    table: Table,
    column: str,
    row_id: str,
    text: str,
    *,
    if_version: int | None,
    at: int,
    actor: str,
) -> Row:
    """Set `column` to `text`, with a former one in its history; returns the row, in the order of the table's columns.

    Raises `NotFound`, or `Conflict` on another version.
    """
    found = db.execute(
        f"SELECT seq, version, {column}, {column}_actor, former_{column}s FROM {table.name} WHERE id = ?", (row_id,)
    ).fetchone()
    if found is None:
        raise NotFound(f"there is no {table.name} {row_id}")
    seq, version, present, by, history = found
    check_version(table.name, version, if_version)
    if present is not None:
        history = with_former(history, present, by, at)
    row: Row
    (row,) = db.execute(
        f"UPDATE {table.name} SET {column} = ?, {column}_actor = ?, former_{column}s = ?, updated_at = ?, "
        f"version = version + 1 WHERE seq = ? RETURNING {table.columns}",
        (text, actor, history, at, seq),
    )
    return row
