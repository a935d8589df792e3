"""A look at all that is stored of the vault, with its key: what opens, what it adds up to, and what is wrong.

The head tells whether rows and header are of one time, not of which (`head`). That time is compared with the audit
list, which has the counter of each unlock and change of keys, and the revision of each change of an entry: where it
tells of a newer one, or of an entry that is missing and by the change log should not be, the vault was put back without
it. What nothing in the database shows: that the audit list was put back as well, or that its newer lines were taken
out, since no key guards it. Nor what it says no more, as `vault.tidy` forgets old lines. Where a backup comes back or
an import takes the vault's place, the lines of the time between lose their revisions, so that going back is no damage.

Where something doesn't fit, it goes on to say which entries are to blame, as far as that can be known: values that
don't open (to find these, a vault that fits is not searched), rows that are missing though the change log tells that
they were stored, and rows that the audit list contradicts. What agents may do with such a vault is withheld (`rights`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

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
class Inspected:
    """What was found. `total` is the sum over every row that is there."""

    header: Header
    known: list[Known]
    total: int
    trouble: Trouble | None


def look(db: apsw.Connection, key: DataKey) -> Inspected | None:
    """All of it, in one snapshot; None where there is no vault. Raises `Wiped`."""
    header = store.header(db)
    if header is None:
        return None
    found, bad, total, rows, there = [], set(), 0, 0, {}
    withheld = rights.withheld(db)
    for row in store.outlines(db):
        rows += 1
        leaf = head.leaf(key, row)
        total = head.added(total, leaf)
        there[row.id] = row.revision
        try:
            about = entries.open_about(key, row)
        except Damaged:
            bad.add(row.id)
        else:
            about = rights.counting(about, is_withheld=row.id in withheld)
            found.append(known(row.id, row.revision, about, leaf, len(row.about) + row.value_bytes))
    put_back = _put_back(db, header, there)
    fits = hmac.compare_digest(header.head, head.tag(key, header, rows, total))
    if fits and not bad and not any(put_back):
        return Inspected(header, found, total, None)
    uncertain = [replace(one, about=rights.counting(one.about, is_withheld=True)) for one in found]
    return Inspected(header, uncertain, total, _trouble(db, key, bad, there, put_back))


class _PutBack(NamedTuple):
    """How the audit list contradicts what is stored."""

    as_a_whole: bool
    """The vault had a higher counter."""
    missing: set[str]
    older: set[str]
    back: set[str]
    """Entries that had been deleted."""


def _put_back(db: apsw.Connection, header: Header, there: Mapping[str, int]) -> _PutBack:
    counter, last = audit.last(db)
    missing = {one for one, revision in last.items() if revision > 0 and one not in there}
    return _PutBack(
        header.counter < counter,
        # One list alone may have lost a line to damage, or have been changed.
        missing & _missing(db, there) if missing else missing,
        {one for one, revision in there.items() if revision < last.get(one, 0)},
        {one for one in there if last.get(one) == 0},
    )


def _missing(db: apsw.Connection, there: Mapping[str, int]) -> set[str]:
    """What isn't there though the change log tells that it was stored, and not that it was deleted."""
    stored = changes.recorded(db, StoreSecret.method, ENTRY)
    deleted = changes.recorded(db, DeleteSecret.method, ENTRY)
    return stored.keys() - deleted.keys() - there.keys()


def _trouble(db: apsw.Connection, key: DataKey, bad: set[str], there: Mapping[str, int], put_back: _PutBack) -> Trouble:
    closed = bad | {row.id for row in store.whole(db) if not _value_opens(key, row)}
    missing = _missing(db, there)
    older, back = put_back.older - closed, put_back.back - closed
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
    if put_back.as_a_whole:
        parts.append("it is older than what the audit list tells of")
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
