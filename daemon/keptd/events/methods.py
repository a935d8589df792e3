"""Handlers of event.*."""

from __future__ import annotations

from kept.wire import Page
from kept.wire.errors import NotFound, QuotaExceeded
from kept.wire.event import Change, ListEvents, Subscribe, Subscription, SubscriptionId, Unsubscribe, Unsubscribed

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
    (since,) = _ORDER.after(call.cursor) or (call.since,)
    rows = changes.after(ctx.db, since, call.topics, call.limit + 1)
    return page(rows, call.limit, lambda change: change, lambda change: _ORDER.cursor(change.seq))


@serves
def subscribe(ctx: ControlCtx, call: Subscribe) -> Subscription:
    peer = ctx.peer
    limit = ctx.config.limits.subscriptions
    if len(peer.subscriptions) >= limit:
        raise QuotaExceeded(f"{limit} subscriptions are open on this connection", limit=limit)
    peer.subscribed += 1
    name = SubscriptionId(f"{peer.number}-{peer.subscribed}")
    since = ctx.bus.seq if call.since is None else min(call.since, ctx.bus.seq)
    follower = Follower(peer, ctx.store, ctx.bus, name, call.topics, since, ctx.config.limits.subscriber_lag)
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
