"""A look at all that is stored of the vault, with its key: what opens, what it adds up to, and what is wrong.

Where the head doesn't fit, it goes on to say which entries are to blame, as far as that can be known: values that don't
open, rows that are missing though the change log tells that they were stored, and rows with an older revision than the
audit list tells of. What agents may do with such a vault is withheld (`rights`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

import apsw

from kept.wire.vault import DeleteSecret, StoreSecret

from ..store import changes
from . import audit, entries, head, rights, store
from .cipher import Damaged, wipe
from .keyring import Trouble
from .keys import DataKey
from .search import Known, known
from .store import Header
from .visit import ENTRY

_WHAT_TO_DO = (
    "Restore a backup that was made before (`kept backup list`); or unlock it despite the damage to read what "
    "opens, and let `kept vault rotate --drop-damaged` seal that anew."
)


@dataclass(slots=True)
class Inside:
    """What was found. `total` is the sum over every row that is there."""

    header: Header
    known: list[Known]
    total: int
    trouble: Trouble | None


def look(db: apsw.Connection, key: DataKey) -> Inside | None:
    """All of it, in one snapshot; None where there is no vault. Raises `Wiped`."""
    header = store.header(db)
    if header is None:
        return None
    found, bad, total, rows = [], set(), 0, 0
    withheld = rights.withheld(db)
    for row in store.outlines(db):
        rows += 1
        leaf = head.leaf(key, row)
        total = head.added(total, leaf)
        try:
            about = entries.open_about(key, row)
        except Damaged:
            bad.add(row.id)
        else:
            about = rights.counting(about, is_withheld=row.id in withheld)
            found.append(known(row.id, row.revision, about, leaf, len(row.about) + row.value_bytes))
    if hmac.compare_digest(header.head, head.tag(key, header, rows, total)) and not bad:
        return Inside(header, found, total, None)
    uncertain = [replace(one, about=rights.counting(one.about, is_withheld=True)) for one in found]
    return Inside(header, uncertain, total, _trouble(db, key, bad))


def _trouble(db: apsw.Connection, key: DataKey, bad: set[str]) -> Trouble:
    closed = bad | {row.id for row in store.whole(db) if not _value_opens(key, row)}
    there = {row.id: row.revision for row in store.outlines(db)}
    stored = changes.recorded(db, StoreSecret.method, ENTRY)
    deleted = changes.recorded(db, DeleteSecret.method, ENTRY)
    missing = stored.keys() - deleted.keys() - there.keys()
    last = audit.last_revisions(db)
    older = {one for one, revision in there.items() if revision < last.get(one, 0)} - closed
    back = {one for one in there if last.get(one) == 0} - closed
    parts = [
        f"{len(ids)} {words}"
        for ids, words in (
            (closed, "of its entries don't open"),
            (missing, "are missing"),
            (older, "are older than what was stored last"),
            (back, "had been deleted"),
        )
        if ids
    ]
    what = ", ".join(parts) if parts else "a part of it was changed from outside, or is older than the rest"
    return Trouble(
        tuple(sorted(closed | missing | older | back)), f"The vault doesn't fit together: {what}. {_WHAT_TO_DO}"
    )


def _value_opens(key: DataKey, row: store.EntryRow) -> bool:
    try:
        wipe(entries.open_value(key, row))
    except Damaged:
        return False
    return True
