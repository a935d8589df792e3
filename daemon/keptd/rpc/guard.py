"""The guard: what happens to text that is to be stored and looks like a credential, before anything is carried out."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kept.wire import Call, Write
from kept.wire.errors import SecretFound

from ..redaction import mask_call, scan_call

S = TypeVar("S", bound=msgspec.Struct)

_NO_CHOICE = "Nothing was written. Take it out of ids, names and tags."


def guard(call: Call[Any], default: str) -> Call[Any]:
    """The call as it may be carried out: as it is, or with each credential masked.

    `default` is the configured policy; a write's own `on_secret` goes before it. A call whose text is not stored is
    not looked at. Raises `SecretFound`, which names the field and the kind, never the text.
    """
    own = call.on_secret if isinstance(call, Write) else None
    return screened(call, own or default, may_choose=isinstance(call, Write)) if call.keeps_text else call


def screened(part: S, policy: str, place: str = "", *, may_choose: bool = True) -> S:
    """What is to be stored as it may be stored: as it is, or with each credential masked.

    `policy` is one of `OnSecret`'s; `may_choose` says whether the caller can send another. `place` tells where the
    fields are, in the name of the field that a refusal gives. Raises `SecretFound`, as `guard`.
    """
    if policy == "allow":
        return part
    findings = scan_call(part)
    if not findings:
        return part
    field, kind = place + findings[0].field, findings[0].kind
    told = f"{field} holds what looks like a credential ({kind})"
    hint = None if may_choose else _NO_CHOICE
    if policy == "redact":
        masked = mask_call(part)
        if _is_valid(masked):
            return masked
        told, hint = f"{told}, and has no room for a mask", _NO_CHOICE
    raise SecretFound(told, hint=hint, field=field, kind=kind, found=len(findings))


def _is_valid(part: msgspec.Struct) -> bool:
    """Whether what is to be stored still keeps the limits of its fields."""
    try:
        msgspec.json.decode(msgspec.json.encode(part), type=type(part))
    except msgspec.ValidationError:
        return False
    return True
