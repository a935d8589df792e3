"""session.export and session.import: conversations as text that a file can hold, and back again.

The daemon opens no path that a client names. An export comes in parts; a file to be imported is announced and sent with
`data.begin` and `data.write`, or stands in the call itself where it is small.
daemon/keptd/sessions/FORMAT.md says what is in the JSON form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from . import Control, Cursor, Id, IdempotencyKey, OnSecret, Read
from .data import Transfer
from .errors import Conflict, InvalidParams, NotFound, QuotaExceeded, SecretFound, StorageFull
from .session import SessionId

SESSIONS_AT_ONCE = 10_000
"""The most sessions of one export or import."""

Format = Annotated[
    Literal["json", "markdown", "txt"],
    Meta(description="`json` has everything and can be imported; `markdown` and `txt` are for people."),
]
OnConflict = Annotated[
    Literal["new_id", "skip", "replace"],
    Meta(
        description="What to do with a session whose id is there already: import it under a new id, leave it out, or "
        "move the one that is there to the trash."
    ),
]


class ExportPart(Struct, frozen=True, kw_only=True):
    """A piece of an export; the pieces, one behind the other, are the whole."""

    text: str
    next_cursor: str | None
    """None with the last piece."""
    done: int
    """Messages so far."""
    total: int
    """Messages in all, as far as it is known."""


class ExportSession(Read[ExportPart], frozen=True, kw_only=True):
    """A session as text, or a session with all that descend from it, in parts of a few MiB.

    A message that comes while its session is being exported is not in it. Credentials that were let through are in it
    as they are.
    """

    method = "session.export"
    errors = (NotFound, InvalidParams, Conflict)

    id: Id
    format: Format = "json"
    tree: Annotated[bool, Meta(description="With all sessions that descend from it.")] = False
    cursor: Cursor | None = None


class ImportedSession(Struct, frozen=True, kw_only=True):
    """What became of one session of a document."""

    id: SessionId
    """The session that there is now."""
    former_id: str | None
    """Its id in the document."""
    action: Annotated[str, Meta(description="`created`, `skipped` or `replaced`.")]
    messages: int
    """How many messages were imported."""


class ImportedSessions(Struct, frozen=True, kw_only=True):
    """What an import brought."""

    sessions: tuple[ImportedSession, ...]
    messages: int
    warnings: tuple[str, ...]
    """What could not be as the document says."""


class ImportSessions(Control[ImportedSessions], frozen=True, kw_only=True):
    """Take over the sessions of a document that `session.export` made in its JSON form, or of one written by hand.

    All of it is checked first, and takes effect in one step or not at all. Ids stay where they are free. The same
    upload or idempotency_key gives the first result for a day. `$/progress` tells how far it is.
    """

    method = "session.import"
    errors = (NotFound, InvalidParams, Conflict, QuotaExceeded, SecretFound, StorageFull)

    upload_id: Annotated[Transfer, Meta(description="The id that data.begin gave, when all has been sent.")] | None = (
        None
    )
    document: Annotated[dict[str, Any], Meta(description="Instead of an upload: the document itself.")] | None = None
    on_conflict: OnConflict = "new_id"
    on_secret: OnSecret | None = None
    idempotency_key: IdempotencyKey | None = None
