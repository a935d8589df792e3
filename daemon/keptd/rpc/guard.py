"""The guard: what happens to a call whose text is stored and looks like a credential, before it is carried out."""

from __future__ import annotations

from typing import Any

import msgspec

from kept.wire import Call, Write
from kept.wire.errors import SecretFound

from ..redaction import mask_call, scan_call

_NO_CHOICE = "Nothing was written. Take it out of ids, names and tags."


def guard(call: Call[Any], default: str) -> Call[Any]:
    """The call as it may be carried out: as it is, or with each credential masked.

    `default` is the configured policy; a write's own `on_secret` goes before it. A call whose text is not stored is
    not looked at. Raises `SecretFound`, which names the field and the kind, never the text.
    """
    own = call.on_secret if isinstance(call, Write) else None
    policy = own or default
    if policy == "allow" or not call.keeps_text:
        return call
    findings = scan_call(call)
    if not findings:
        return call
    first = findings[0]
    if policy == "redact":
        masked = mask_call(call)
        if _is_valid(masked):
            return masked
        raise SecretFound(
            f"{first.field} holds what looks like a credential ({first.kind}), and has no room for a mask",
            hint=_NO_CHOICE,
            field=first.field,
            kind=first.kind,
            found=len(findings),
        )
    raise SecretFound(
        f"{first.field} holds what looks like a credential ({first.kind})",
        hint=None if isinstance(call, Write) else _NO_CHOICE,
        field=first.field,
        kind=first.kind,
        found=len(findings),
    )


def _is_valid(call: Call[Any]) -> bool:
    """Whether a call still keeps the limits of its fields."""
    try:
        msgspec.json.decode(msgspec.json.encode(call), type=type(call))
    except msgspec.ValidationError:
        return False
    return True
