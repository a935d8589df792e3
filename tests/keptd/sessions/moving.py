"""Sessions between homes, as a client moves them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.harness import Peer
from tests.working import done, work

PART = 500_000


async def export(peer: Peer, session_id: str, **params: Any) -> str:
    """All parts of an export, one behind the other."""
    parts = []
    cursor = None
    while True:
        more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        part = await done(peer, "session.export", id=session_id, **params, **more)
        parts.append(part["text"])
        cursor = part["next_cursor"]
        if cursor is None:
            assert part["done"] == part["total"]
            return "".join(parts)


async def upload(peer: Peer, text: str | bytes) -> str:
    """Send a file; its id."""
    whole = text if isinstance(text, bytes) else text.encode()
    begun = await done(peer, "data.begin", bytes=len(whole), sha256=hashlib.sha256(whole).hexdigest())
    for offset in range(0, len(whole), PART):
        part = base64.b64encode(whole[offset : offset + PART]).decode()
        await done(peer, "data.write", id=begun["id"], offset=offset, data=part)
    return str(begun["id"])


async def put(peer: Peer, text: str | bytes, **params: Any) -> dict[str, Any]:
    """Send a file and have it imported; what that gives."""
    return dict(await done(peer, "session.import", upload_id=await upload(peer, text), **params))


async def offer(peer: Peer, text: str | bytes, **params: Any) -> dict[str, Any]:
    """Send a file that must be refused: the error."""
    reply, _ = await work(peer, "session.import", upload_id=await upload(peer, text), **params)
    assert "error" in reply, reply
    return dict(reply["error"])


def document(*sessions: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A document by hand."""
    return {"format": "kept.session", "version": 1, "sessions": list(sessions), **members}


def entry(session_id: str | None = None, *messages: dict[str, Any], **session: Any) -> dict[str, Any]:
    """A session of a document by hand."""
    own = session if session_id is None else {"id": session_id, **session}
    return {"session": own, "messages": list(messages)}


def says(content: str, **message: Any) -> dict[str, Any]:
    """A message of a document by hand."""
    return {"role": "user", "content": content, **message}


def timeless(text: str) -> dict[str, Any]:
    """A document without the time of its export."""
    found = json.loads(text)
    assert found.pop("exported_at")
    return dict(found)
