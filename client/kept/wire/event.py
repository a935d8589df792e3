"""event.*: the change log, paged and followed."""

from __future__ import annotations

from typing import Annotated, NewType

from msgspec import Meta, Struct

from . import Actor, Control, Cursor, Limit, Page, Read, Time
from .errors import NotFound, QuotaExceeded

SubscriptionId = NewType("SubscriptionId", str)

DATABASE = "database"
"""The entity of a change that concerns all of the state, such as going back to a backup. Every subscriber is told."""

Topic = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        pattern="^([a-z_]+(\\.[a-z_]+)?|session:[A-Za-z0-9-]{1,64})$",
        description="`memory`, one method: `memory.set`, one event: `message.sent`, or all that happens in one "
        "session: `session:` and its id.",
    ),
]
Topics = Annotated[tuple[Topic, ...], Meta(max_length=32, description="Only changes of these; all where left out.")]
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1, description="A place in the change log.")]


class Change(Struct, frozen=True, kw_only=True):
    """One committed change: where in the log, when, by whom, with which method, to what. Never a value."""

    seq: int
    at: Time
    actor: Actor
    method: str
    entity: str
    entity_id: str
    label: str
    """A short name for people, such as the key."""
    event: str | None = None
    """What happened, where the method has a name for it: `message.sent` for `message.send`."""
    session_id: str | None = None
    """The session that it is about, until that is removed for good; then no label is left either."""
    number: int | None = None
    """A message's number in that session."""


class Event(Struct, frozen=True, kw_only=True):
    """The `event` notification: one change, for one subscription."""

    subscription_id: SubscriptionId
    change: Change


class Lost(Struct, frozen=True, kw_only=True):
    """The `lost` notification: the subscriber fell too far behind. It goes on with newer changes; nothing is lost
    from the log: `event.list {since: resume_from}` shows what was passed over, up to and with `until`."""

    subscription_id: SubscriptionId
    resume_from: int
    until: int


class Subscription(Struct, frozen=True, kw_only=True):
    """A subscription and the last sequence of the log when it began."""

    id: SubscriptionId
    seq: int


class Unsubscribed(Struct, frozen=True, kw_only=True):
    """The subscription ended; `seq` is the last sequence that it dealt with: sent, passed over as not of its topics,
    or told as lost."""

    id: SubscriptionId
    seq: int


class ListEvents(Read[Page[Change]], frozen=True, kw_only=True):
    """The change log in order, after a sequence."""

    method = "event.list"

    since: Sequence = 0
    topics: Topics | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Subscribe(Control[Subscription], frozen=True, kw_only=True):
    """Follow the change log: `event` notifications, from after `since` where it is given, else from now on.

    There is no gap between what is replayed and what follows. A subscriber that falls too far behind is told `lost`.
    A change of the entity `database` concerns all of the state, and comes whatever the topics: read again what you
    hold.
    """

    method = "event.subscribe"
    errors = (QuotaExceeded,)

    topics: Topics | None = None
    since: Sequence | None = None


class Unsubscribe(Control[Unsubscribed], frozen=True, kw_only=True):
    """Stop following."""

    method = "event.unsubscribe"
    errors = (NotFound,)

    id: Annotated[SubscriptionId, Meta(max_length=64, description="The subscription's id.")]
