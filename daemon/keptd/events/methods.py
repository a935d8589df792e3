"""Handlers of event.*."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import apsw

from kept.wire import Page
from kept.wire.errors import InvalidParams, NotFound, QuotaExceeded
from kept.wire.event import (
    DATABASE,
    Change,
    ListEvents,
    Subscribe,
    Subscription,
    SubscriptionId,
    Unsubscribe,
    Unsubscribed,
)

from ..domain import ReadCtx
from ..rpc.control import ControlCtx
from ..rpc.methods import serves
from ..store import changes
from ..store.pages import Order, is_long, page
from .follow import Follower

_ORDER = Order("event.list", int)


def _heavy(call: ListEvents) -> bool:
    """A list by topics may read a page for each of them."""
    return call.topics is not None or is_long(call)


@serves(heavy=_heavy)
def list_events(ctx: ReadCtx, call: ListEvents) -> Page[Change]:
    _check(call.topics or (), ctx.topics, ctx.db)
    (since,) = _ORDER.after(call.cursor) or (call.since,)
    rows = changes.after(ctx.db, since, call.topics, call.limit + 1)
    return page(rows, call.limit, lambda change: change, lambda change: _ORDER.cursor(change.seq))


@serves
def subscribe(ctx: ControlCtx, call: Subscribe) -> Subscription:
    _check(call.topics or (), ctx.topics, ctx.store.inline)
    peer = ctx.peer
    limit = ctx.config.limits.subscriptions
    if len(peer.subscriptions) >= limit:
        raise QuotaExceeded(f"{limit} subscriptions are open on this connection", limit=limit)
    peer.subscribed += 1
    name = SubscriptionId(f"{peer.number}-{peer.subscribed}")
    since = ctx.bus.seq if call.since is None else min(call.since, ctx.bus.seq)
    topics = None if call.topics is None else (*call.topics, DATABASE)
    follower = Follower(peer, ctx.store, ctx.bus, name, topics, since, ctx.config.limits.subscriber_lag)
    peer.subscriptions[name] = follower
    peer.spawn(follower.run)
    return Subscription(id=name, seq=ctx.bus.seq)


@serves
def unsubscribe(ctx: ControlCtx, call: Unsubscribe) -> Unsubscribed:
    found = ctx.peer.subscriptions.pop(call.id, None)
    if found is None:
        raise NotFound(
            "there is no such subscription on this connection", hint="It may have ended with its connection."
        )
    found.cancel()
    return Unsubscribed(id=call.id, seq=found.seq)


def _check(topics: Sequence[str], known: frozenset[str], db: apsw.Connection) -> None:
    """Raises `InvalidParams` for a topic that no change has or can have: who follows it would wait in silence."""
    for place, topic in enumerate(topics):
        if topic in known or changes.has(db, topic):
            continue
        if ":" in topic:
            raise InvalidParams(
                f"topics[{place}] is no session that there is",
                hint="session.list shows those that there are.",
                field=f"topics[{place}]",
            )
        raise InvalidParams(
            f"topics[{place}] is neither an entity, nor a method that changes one, nor an event",
            hint=_nearest(topic, known),
            field=f"topics[{place}]",
        )


def _nearest(topic: str, known: frozenset[str]) -> str:
    """What may have been meant: up to three names that read alike, else all entities."""
    alike = difflib.get_close_matches(topic, sorted(known), 3)
    if alike:
        return f"Did you mean {' or '.join(alike)}?"
    return f"The entities are {', '.join(sorted(name for name in known if '.' not in name))}."
