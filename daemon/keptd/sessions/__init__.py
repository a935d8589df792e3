"""The room of conversations: sessions, what was said in them, and who is there.

Owns the tables `session`, `session_tag`, `session_gone`, `session_attachment` and `message`, and the indexes
`session_text` and `message_text`. A message is never changed; it goes with its session. Refuses to show what is in the
trash, or is not wholly imported yet.

Where things are; the handlers of each are in the `methods` of the same line:

- `schema`, `rows`: the tables, and what is read from and written to them; `rules`, `limits`: what a call makes of it
- `store`, `messages`, `lists` (`methods`, `message_methods`): one session or message, and pages of them
- `tree`, `continuing`, `counts` (`overview_methods`): what a session belongs to, goes on with, and holds
- `find`, `ranking` (`search_methods`): what is looked for, and the second look at the hits for a question
- `attendance` (`attendance_methods`): who is there
- `export` with `document` and `prose` (`move_methods`): sessions as JSON (FORMAT.md), and for people
- `importing` with `scan`, `incoming`, `document` and `staging` (`move_methods`): JSON a piece at a time, a document
  that is looked through, and its sessions on their way in
- `jobs`: what is removed or put away in time, `traces`: also from the change log and receipts; `mending`: after a
  recovery
"""

from __future__ import annotations

import apsw

from ..domain import Carry, Domain, SearchIndex
from ..jobs.declare import collect_jobs
from ..rpc.methods import collect
from . import (
    attendance,
    attendance_methods,
    importing,
    jobs,
    mending,
    message_methods,
    messages,
    methods,
    move_methods,
    overview_methods,
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
        for module in (methods, message_methods, overview_methods, search_methods, move_methods, attendance_methods)
        for handler in collect(module)
    ),
    jobs=collect_jobs(jobs),
    derive=_derive,
    at_start=importing.leave_all,
    derived=frozenset(("session_tag",)),
    endings=frozenset(("session.remove",)),
    local_tables=("session_attachment",),
    restorers={store.TRASHED: methods.restore_session},
    purgers={store.TRASHED: methods.purge_session},
    succession=_succession,
    settle=attendance_methods.settle,
    indexes=(
        SearchIndex(SESSION_TEXT.name, "session", SESSION_TEXT.make_sql(), store.index_all, store.SHOWN),
        SearchIndex(MESSAGE_TEXT.name, "message", MESSAGE_TEXT.make_sql(), messages.index_all),
    ),
)
