"""What the daemon is asked before a person types a secret: whether it would be typed for nothing.

One cheap call, and the refusal is the daemon's own where it has one. It settles nothing: what has changed by the time
that the secret is there is refused by the daemon then.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..wire import Call
from ..wire.errors import Conflict, Locked, NotFound
from ..wire.vault import InitVault, ListRequests, ListSecrets, StoreSecret
from .parse import Ahead
from .surface import Caller


def ahead_of(request: type[Call[Any]]) -> Ahead:
    """What is asked before the secrets of a call."""
    if request is InitVault:
        return _absent
    return unlocked if Locked in request.errors else _there


def unlocked(_: object, call: Caller) -> None:
    """Raises `NotFound` where there is no vault, and `Locked`."""
    call(ListRequests())


def _there(_: object, call: Caller) -> None:
    """Raises `NotFound` where there is no vault."""
    with suppress(Locked):
        call(ListRequests())


def _absent(_: object, call: Caller) -> None:
    """Raises `Conflict` where there is one."""
    try:
        _there(_, call)
    except NotFound:
        return
    raise Conflict("there is a vault already", hint="vault.unlock opens it.")


def name_is_free(wanted: StoreSecret, call: Caller) -> None:
    """Raises as `unlocked`, and `Conflict` where the name is taken."""
    if wanted.idempotency_key is not None:
        # It may be taken by the very entry that this would store again.
        unlocked(wanted, call)
        return
    # By name, so that the one with no more than the prefix is the first.
    found = call(ListSecrets(prefix=wanted.name, limit=1)).items
    if any(entry.name == wanted.name for entry in found):
        raise Conflict("the name is taken", hint="vault.update changes the entry that has it.", field="name")
