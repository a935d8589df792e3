"""What agents may do with an entry, where a backup comes back, and where the vault doesn't fit together.

A right that was taken back must not return with a backup that still has it. What is sealed can't be read while a
database takes another's place, but it can be compared: an entry that stands there byte for byte as it stood here has
the rights that it had here. Of every other entry, be it the same vault's or another's, the rights are withheld: they
count as not given until a person gives them again. Only where nothing of a vault was here is nothing withheld: so who
deletes everything first gets back what the backup says.

So are they where the table names an entry that there isn't, since then it was changed from outside. That somebody
emptied it there, who could as well put all of an old file back, is not noticed. A recovery, which may have lost some of
its rows, withholds the rights of what it could only find older, and of whatever was not changed since a backup came
back. And where the head doesn't fit, any row may be an older one: of a vault that is opened despite damage no right
counts, nor after `vault.rotate` has sealed it anew.
"""

from __future__ import annotations

from collections.abc import Collection

import apsw
import msgspec

from kept.wire.backup import RestoreBackup
from kept.wire.data import ImportAll
from kept.wire.event import DATABASE
from kept.wire.vault import StoreSecret, UpdateSecret

from ..domain import Carry
from ..store import changes
from . import audit, store
from .entries import About
from .visit import ENTRY

_COMES_BACK = (RestoreBackup.method, ImportAll.method)


def withheld(db: apsw.Connection) -> Collection[str]:
    """The ids of the entries whose rights don't count."""
    named = store.withheld(db)
    there = store.ids(db) if named else named
    return there if named - there else named


def counting(about: About, *, is_withheld: bool) -> About:
    """What is known of an entry, with the rights that count."""
    if not is_withheld or not (about.agent_readable or about.agent_usable):
        return about
    return msgspec.structs.replace(about, agent_readable=False, agent_usable=False, rights_withheld=True)


def going_on(db: apsw.Connection) -> Carry:
    """Withhold, in a database that takes the place of this one, the rights of what isn't as it is here."""
    before, kept_back = set(store.outlines(db)), withheld(db)
    was_here = bool(before) or store.header(db) is not None

    def carry(successor: apsw.Connection) -> None:
        if was_here:
            store.withhold(
                successor, [one.id for one in store.outlines(successor) if one not in before or one.id in kept_back]
            )

    return carry


def recovered(db: apsw.Connection) -> None:
    """Withhold, in a database that was put together again, what is older than it was, and what may have been withheld
    in what was lost."""
    last = audit.last(db).revisions
    store.withhold(db, [one.id for one in store.outlines(db) if one.revision < last.get(one.id, 0)])
    came = [one.seq for method in _COMES_BACK for one in changes.recorded(db, method, DATABASE).values()]
    if came:
        changed = {
            entry_id
            for method in (StoreSecret.method, UpdateSecret.method)
            for entry_id, one in changes.recorded(db, method, ENTRY).items()
            if one.seq > max(came)
        }
        store.withhold(db, store.ids(db) - changed)
