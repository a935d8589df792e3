"""The room of conversations: sessions, what was said in them, and who is there.

Owns the tables `session`, `session_tag`, `session_attachment` and `message`, and the indexes `session_text` and
`message_text`. A message is never changed; it goes with its session. Refuses to show what is in the trash, or is not
wholly imported yet.
"""

from __future__ import annotations

import apsw

from ..domain import Domain, SearchIndex
from ..rpc.methods import collect
from . import importing, message_methods, messages, methods, move_methods, store
from .schema import MESSAGE_TEXT, MIGRATIONS, SESSION_TEXT


def _reindex(db: apsw.Connection) -> None:
    store.reindex(db)
    messages.reindex(db)


DOMAIN = Domain(
    name="sessions",
    migrations=MIGRATIONS,
    handlers=(*collect(methods), *collect(message_methods), *collect(move_methods)),
    reindex=_reindex,
    at_start=importing.leave_all,
    derived=frozenset(("session_tag",)),
    local_tables=("session_attachment",),
    indexes=(
        SearchIndex(SESSION_TEXT.name, "session", SESSION_TEXT.create_sql(), store.index_all),
        SearchIndex(MESSAGE_TEXT.name, "message", MESSAGE_TEXT.create_sql(), messages.index_all),
    ),
)
