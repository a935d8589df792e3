"""What the daemon is asked before a person types a secret: whether it would be typed for nothing.

One cheap call, and the refusal is the daemon's own where it has one. It settles nothing: what has changed by the time
that the secret is there is refused by the daemon then.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..wire import Call
from ..wire.errors import Busy, Conflict, Locked, NotFound
from ..wire.vault import InitVault, ListRequests, ListSecrets, StatusOfVault, StoreSecret, UnlockVault
from .parse import Ahead
from .surface import Caller
from .text import duration

TYPING_MS = 3000
"""How long nobody is told to wait for, since typing a password takes as long."""


def ahead_of(request: type[Call[Any]]) -> Ahead:
    """What is asked before the secrets of a call."""
    if request is InitVault:
        return _absent
    if request is UnlockVault:
        return may_try
    return unlocked if Locked in request.errors else _there


def unlocked(_: object, call: Caller) -> None:
    """Raises `NotFound` where there is no vault, and `Locked`."""
    call(ListRequests())


def may_try(_: object, call: Caller) -> None:
    """Raises `NotFound` where there is no vault, and `Busy` where a password would come too early after wrong ones."""
    status = call(StatusOfVault())
    if status.state == "absent":
        raise NotFound("there is no vault yet", hint="vault.init makes one, with a password that you choose.")
    if status.retry_after_ms > TYPING_MS:
        raise Busy(
            "after so many wrong passwords the next one has to wait",
            hint=f"Try again in {duration(status.retry_after_ms / 1000)}.",
            retry_after_ms=status.retry_after_ms,
        )


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
