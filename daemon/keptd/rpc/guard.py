"""The guard: what happens to a write whose text looks like a credential, before it reaches the writer."""

from __future__ import annotations

from typing import Any

import msgspec

from kept.wire import Write
from kept.wire.errors import SecretFound

from ..redaction import mask_call, scan_call


def guard(call: Write[Any], default: str) -> Write[Any]:
    """The call as it may be written: as it is, or with each credential masked.

    `default` is the configured policy; the call's own `on_secret` goes before it. Raises `SecretFound`, which names
    the field and the kind, never the text.
    """
    policy = call.on_secret or default
    if policy == "allow":
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
            hint="Nothing was written. Take it out of ids, names and tags.",
            field=first.field,
            kind=first.kind,
            found=len(findings),
        )
    raise SecretFound(
        f"{first.field} holds what looks like a credential ({first.kind})",
        field=first.field,
        kind=first.kind,
        found=len(findings),
    )


def _is_valid(call: Write[Any]) -> bool:
    """Whether a call still keeps the limits of its fields."""
    try:
        msgspec.json.decode(msgspec.json.encode(call), type=type(call))
    except msgspec.ValidationError:
        return False
    return True
