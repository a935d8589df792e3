"""The room of conversations: sessions, what was said in them, and who is there.

Owns the tables `session`, `session_tag`, `session_gone`, `session_attachment` and `message`, and the indexes
`session_text` and `message_text`. A message is never changed; it goes with its session. Refuses to show what is in the
trash, or is not wholly imported yet.
"""

from __future__ import annotations

import apsw

from ..domain import Carry, Domain, SearchIndex
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import (
    attendance,
    importing,
    jobs,
    mending,
    message_methods,
    messages,
    methods,
    move_methods,
    overview_methods,
    presence,
    search_methods,
    staging,
    store,
)
from .schema import MESSAGE_TEXT, MIGRATIONS, SESSION_TEXT


def _derive(db: apsw.Connection) -> None:
    mending.mend(db)
    store.derive(db)


def _succession(db: apsw.Connection) -> Carry:
    """Who is there stays; what was being imported when the copy was made is given up: an import that is still at work
    would go on behind what the copy has, and what it brought since would be missing in the middle."""
    who_is_there = attendance.succession(db)

    def carry(successor: apsw.Connection) -> None:
        who_is_there(successor)
        staging.leave_all(successor)

    return carry


DOMAIN = Domain(
    name="sessions",
    migrations=MIGRATIONS,
    handlers=tuple(
        handler
        for module in (methods, message_methods, overview_methods, search_methods, move_methods, presence)
        for handler in collect(module)
    ),
    jobs=collect_jobs(jobs),
    derive=_derive,
    at_start=importing.leave_all,
    derived=frozenset(("session_tag",)),
    endings=frozenset(("session.remove",)),
    local_tables=("session_attachment",),
    restorers={methods.TRASHED: methods.restore_session},
    purgers={methods.TRASHED: methods.purge_session},
    succession=_succession,
    settle=presence.settle,
    indexes=(
        SearchIndex(SESSION_TEXT.name, "session", SESSION_TEXT.make_sql(), store.index_all, store.SHOWN),
        SearchIndex(MESSAGE_TEXT.name, "message", MESSAGE_TEXT.make_sql(), messages.index_all),
    ),
)
