"""The contract between kept's daemon and every client: what a method is, and the types that all methods share.

A method is a frozen Struct that derives from `Read`, `Write` or `Control`. Its class attributes name the method and the
errors that it can raise, its docstring describes it, its fields are the parameters with their constraints, and the type
argument is the result. Parameter checks, OpenRPC, the command line, the typed client and the reference page all come
from that class.

A parameter with a few words to choose from is a `Literal`. In a result such a word is a plain `str`, since a later
daemon may have more of them; a field that is added to a result later has a default, since an earlier daemon doesn't
send it.

Refuses to know about sockets, storage or the daemon: it imports the standard library and msgspec only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from .errors import READ_ERRORS, WRITE_ERRORS, KeptError

PROTOCOL_VERSION = 1
"""Raised when something is added that a client may depend on: each client says which version it needs at least."""

VALUE_BYTES = 1024 * 1024
"""The largest value typed *any*, in bytes of compact JSON."""

R = TypeVar("R")
T = TypeVar("T")

_NO_CONTROL = "^(?![\\s\\S]*[\\u0000-\\u001f\\u007f-\\u009f])"

Name = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=_NO_CONTROL, description="1 to 200 characters, no control characters."),
]
"""A name that people type: 1 to 200 characters, no control characters."""

Tag = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_CONTROL)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=32, description="Up to 32 tags of up to 64 characters.")]

Text = Annotated[str, Meta(min_length=1, max_length=65_536, pattern="^[^\\u0000]*$")]
"""Prose: 1 to 65,536 characters, without NUL: no text in the database has one, so that one is a sign of damage."""

Query = Annotated[str, Meta(min_length=1, max_length=1000, description="Words to search for.")]
"""Words to search for."""

Syntax = Annotated[
    Literal["words", "fts5", "phrase", "prefix"],
    Meta(
        description="`words`: every word counts as itself; those that tell nothing (`the`, `what`) only where there is "
        "no other. `phrase`: the words next to each other, in this order. `prefix`: the last word is a beginning, as "
        "one types. `fts5`: the query is an SQLite FTS5 expression."
    ),
]

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9-]+$", description="An entity's id.")]
"""An entity's id on the wire: a UUIDv7 unless its domain gives another form."""

Project = Annotated[Name, Meta(description="A project's id.")]
"""A project, where something belongs to one."""

GLOBAL = "global"
"""The scope of what belongs to no project."""

Limit = Annotated[int, Meta(ge=1, le=1000, description="How many items at most, 1 to 1000.")]
Passed = Annotated[
    int,
    Meta(
        ge=0,
        le=2000,
        description="Pass over so many of the best first: as many as were shown before. A search has no cursor, and "
        "`next_cursor` is always null: how well one fits depends on all others, so any write may change the order.",
    ),
]
"""How a search goes on. A cursor would promise that nothing is shown twice or left out; ranks can't keep that."""

Cursor = Annotated[str, Meta(max_length=2000, description="`next_cursor` of the page before; opaque.")]
Version = Annotated[int, Meta(ge=1, description="Refuse the change unless the entity has this version.")]
VersionOrNone = Annotated[
    int, Meta(ge=0, description="Refuse the change unless the entity has this version; 0: unless there is none yet.")
]
IdempotencyKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="The same key within 24 hours returns the first result and changes nothing.",
    ),
]
OnSecret = Annotated[
    Literal["refuse", "redact", "allow"],
    Meta(
        description="What to do with text that looks like a credential; the default is the daemon's setting (refuse)."
    ),
]


class Call(Struct, Generic[R], frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A method: derive from `Read`, `Write` or `Control`, not from this."""

    method: ClassVar[str]
    errors: ClassVar[tuple[type[KeptError], ...]] = ()
    common_errors: ClassVar[tuple[type[KeptError], ...]] = READ_ERRORS
    keeps_text: ClassVar[bool] = False
    """True where text of the call is stored, so that it is looked through for credentials first."""
    event: ClassVar[str | None] = None
    """What its changes are called in the change log beside the method, as what happened: `message.sent`."""
    notices: ClassVar[tuple[str, ...]] = ()
    """Names in the method's place, under which it may record a further change that a subscriber should hear of."""
    holds: ClassVar[str | None] = None
    """The parameter that names what the call takes hold of until its connection ends. A client makes the call again on
    a connection that takes the place of one that was lost."""
    lets_go: ClassVar[type[Call[Any]] | None] = None
    """The call whose hold this one ends, where the parameter that names it is the same."""
    is_repeatable: ClassVar[bool] = True
    """Whether a client may send it again when its connection is lost before the reply."""


class Read(Call[R], Generic[R], frozen=True, kw_only=True):
    """A method that changes nothing."""


class Write(Call[R], Generic[R], frozen=True, kw_only=True):
    """A method that changes something: acknowledged only after the commit that holds it is on disk."""

    common_errors: ClassVar[tuple[type[KeptError], ...]] = WRITE_ERRORS
    keeps_text: ClassVar[bool] = True
    frees_space: ClassVar[bool] = False
    """True where the call makes room, so that it is let through on a full disk."""

    idempotency_key: IdempotencyKey | None = None
    on_secret: OnSecret | None = None


class Control(Call[R], Generic[R], frozen=True, kw_only=True):
    """A method about the connection or the daemon itself, or one whose text must not pass through what a write passes
    through: it is not looked through for credentials, and leaves no receipt."""

    is_repeatable: ClassVar[bool] = False


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list. `next_cursor` is None on the last."""

    items: list[T]
    next_cursor: str | None = None


class Actor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who made a change: the name that the client gave (else its program's), and what the kernel says of it. `kind` is
    what the client says that it is: `agent`, `person` or `program`, so far."""

    client: str
    uid: int
    pid: int
    version: str | None = None
    user: str | None = None
    project: str | None = None
    session: str | None = None
    kind: str | None = None

    @property
    def is_agent(self) -> bool:
        """Whether the client said that it is an agent."""
        return self.kind == "agent"


class Done(Struct, frozen=True, kw_only=True):
    """The reply to a deletion or a change that has no entity left to show."""

    id: str
    deleted: bool = True
    label: str | None = None
    """What people call it, such as its key."""


class Progress(Struct, frozen=True, kw_only=True):
    """What a `$/progress` notification says of a request in flight. A number that isn't known is 0, a text empty.

    The unit of `done` and `total` is the work's own: bytes, pages, steps. Later ones may be about another part of the
    work, and so begin again at 0.
    """

    done: int = 0
    total: int = 0
    """Of how much; 0 where that isn't known."""
    text: str = ""
    """What is being done, in a few words."""
    elapsed_ms: int = 0
    """How long it has been going on; told of reads."""


Value = Annotated[Any, Meta(description="Any JSON value, up to 1 MiB.")]
Time = datetime
"""UTC, RFC 3339 with microseconds on the wire."""
