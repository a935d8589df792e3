"""What agents may do with an entry, where a backup comes back.

A right that was taken back must not return with a backup that still has it. What is sealed can't be read while a
database takes another's place, but it can be compared: an entry that stands there byte for byte as it stood here has
the rights that it had here. Of every other entry of the same vault the rights are withheld: they count as not given
until a person gives them again. So are they where the table names an entry that there isn't, since then it was changed
from outside. That somebody emptied it there, who could as well put all of an old file back, is not noticed.
"""

from __future__ import annotations

from collections.abc import Collection

import apsw
import msgspec

from ..domain import Carry
from . import store
from .entries import About


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
    vault_id, before = _vault_id(db), set(store.outlines(db))
    kept_back = withheld(db)

    def carry(successor: apsw.Connection) -> None:
        if vault_id is None or _vault_id(successor) != vault_id:
            return
        store.withhold(
            successor, [one.id for one in store.outlines(successor) if one not in before or one.id in kept_back]
        )

    return carry


def _vault_id(db: apsw.Connection) -> str | None:
    header = store.header(db)
    return header.id if header is not None else None
