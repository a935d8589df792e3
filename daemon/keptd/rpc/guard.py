"""The guard: what happens to a write whose text looks like a credential, before it reaches the writer."""

from __future__ import annotations

from typing import Any

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
    if policy == "redact":
        return mask_call(call)
    first = findings[0]
    raise SecretFound(
        f"{first.field} holds what looks like a credential ({first.kind})",
        field=first.field,
        kind=first.kind,
        found=len(findings),
    )
