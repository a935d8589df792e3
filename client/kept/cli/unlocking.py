"""A secret on its way to a command. The vault is unlocked first where a person is there to do so, and a person is
waited for where an agent needs one's consent."""

from __future__ import annotations

from msgspec.structs import replace

from ..wire.errors import Denied, Locked
from ..wire.vault import OpenEntry, RetrieveSecret, UnlockVault
from .fields import fields_of
from .secret_params import asked
from .surface import Caller, Surface, the_caller
from .text import one_line
from .vault_ahead import may_try


def retrieve(request: RetrieveSecret, call: Caller, surface: Surface, *, wait_seconds: int, may_ask: bool) -> OpenEntry:
    """The entry with its value. With `may_ask` a person at the terminal is asked for the password of a locked vault; an
    agent that may not read it waits for a confirmation."""
    try:
        return _confirmed(request, call, surface, wait_seconds)
    except Locked:
        here = the_caller(surface)
        if not may_ask or surface.json or not here.attended():
            raise
    may_try(request, call)
    surface.err("the vault is locked\n")
    (password,) = (field for field in fields_of(UnlockVault) if field.secret)
    call(UnlockVault(password=here.secret(asked(password, "vault unlock", None))))
    return _confirmed(request, call, surface, wait_seconds)


def _confirmed(request: RetrieveSecret, call: Caller, surface: Surface, wait_seconds: int) -> OpenEntry:
    try:
        return call(request)
    except Denied:
        if not wait_seconds:
            raise
    surface.err(
        f"waiting up to {wait_seconds} s for a person's consent to {one_line(request.id)}: "
        "kept vault requests shows it\n"
    )
    return the_caller(surface).await_consent(
        replace(request, wait_seconds=wait_seconds),
        lambda told: surface.err(f"{one_line(told)}\n"),
    )
