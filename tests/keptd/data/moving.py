"""Archives between homes, in parts, as a client moves them."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from typing import Any

import apsw
import msgspec

from keptd.zstd import ZstdFile
from tests.harness import Daemon, Peer
from tests.working import done, work

PART = 100_000


async def fetch(peer: Peer) -> bytes:
    """Everything, as an archive."""
    made = await done(peer, "data.export_all")
    parts = []
    offset = 0
    while part := base64.b64decode((await peer.result("data.read", id=made["id"], offset=offset, length=PART))["data"]):
        parts.append(part)
        offset += len(part)
    archive = b"".join(parts)
    assert (len(archive), hashlib.sha256(archive).hexdigest()) == (made["bytes"], made["sha256"])
    await done(peer, "data.discard", id=made["id"])
    return archive


async def upload(peer: Peer, archive: bytes, announced: bytes | None = None) -> str:
    """Send an archive; its id."""
    digest = hashlib.sha256(announced or archive).hexdigest()
    begun = await done(peer, "data.begin", bytes=len(announced or archive), sha256=digest)
    for offset in range(0, len(archive), PART):
        part = archive[offset : offset + PART]
        text = base64.b64encode(part).decode()
        received = await done(peer, "data.write", id=begun["id"], offset=offset, data=text)
        assert received["received"] == offset + len(part)
    return str(begun["id"])


async def put(peer: Peer, archive: bytes, **params: Any) -> dict[str, Any]:
    """Send an archive and have it imported; what that gives."""
    reply = await offer(peer, archive, **params)
    assert "result" in reply, reply
    return dict(reply["result"])


async def offer(peer: Peer, archive: bytes, **params: Any) -> dict[str, Any]:
    """Send an archive and have it imported: the whole reply."""
    reply, _ = await work(peer, "data.import_all", id=await upload(peer, archive), **params)
    return reply


def members(archive: bytes) -> dict[str, bytes]:
    """The parts of an archive, by name, unpacked where they are compressed by it."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None
            content = file.read()
            packed = entry.name.startswith("tables/")
            found[entry.name] = ZstdFile(io.BytesIO(content), "r").read() if packed else content
    return found


def raw_members(archive: bytes) -> dict[str, bytes]:
    """The parts of an archive as they stand in it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def packed(parts: dict[str, bytes], manifest: dict[str, Any]) -> bytes:
    """An archive of these parts, whose manifest says what is right of them, or what `manifest` has instead."""
    listed = []
    for name, content in parts.items():
        plain = ZstdFile(io.BytesIO(content), "r").read() if name.startswith("tables/") else None
        listed.append(
            {
                "name": name,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "rows": None if plain is None else plain.count(b"\n"),
                "unpacked": None if plain is None else len(plain),
            }
        )
    whole = {**parts, "manifest.json": msgspec.json.encode({"members": listed, **manifest})}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in whole.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


async def furnish(daemon: Daemon, peer: Peer) -> None:
    """Something of everything that is kept."""
    for number in range(5):
        await peer.result(
            "memory.set",
            key=f"k{number}",
            value={"n": number * 1.5, "text": "é\u0000\n\u2028", "deep": [[None, True, 2**60]]},
            tags=["a", "b"],
            priority=number + 1,
        )
        daemon.clock.advance(3600)
    await peer.result("memory.set", key="k0", value="second", scope="p", ttl=100_000_000)
    await peer.result("memory.set", key="k1", value="replaced")
    await peer.result("memory.delete", key="k2")
    first = await peer.result("decision.add", decision="use SQLite", reasoning="one file", contradicts=["k1"])
    await peer.result("decision.resolve", id=first["id"], outcome="it holds")
    await peer.result("decision.add", decision="use it still", reasoning="it holds", supersedes=first["id"])
    await peer.result("decision.add", decision="no tabs", reasoning="taste", contradicts=["k3", "k4"])
    error = await peer.result("error.record", error="it broke", context={"exit": 1})
    await peer.result("error.resolve", id=error["id"], resolution="mended")
    await peer.result("component.set", name="web", status="down", metadata=[1, 2])
    await peer.result("component.set", name="old", status="down")
    await peer.result("component.delete", name="old")
    await _talk(peer)
    await peer.result("vault.init", password="correct horse")
    secret = await peer.result("vault.store", name="mail", value={"token": 1}, metadata={"user": "me"})
    with apsw.Connection(daemon.paths.database, vfs="cksmvfs") as db:
        # As if a backup had come back.
        db.execute("INSERT INTO vault_withheld VALUES (?)", (secret["id"],))
    for number in range(4):
        await peer.result("action.log", action=f"did {number}", details={"n": number}, project="p")
    daemon.clock.advance(100 * 86_400)
    await peer.result("action.log", action="did it lately")
    assert (await done(peer, "job.run", name="journal.archive"))["result"] == "ok"


async def _talk(peer: Peer) -> None:
    """Conversations: one that goes on, one in the trash, and one that was removed for good."""
    first = await peer.result("session.create", title="kites", tags=["a"], project="p", metadata={"n": 1})
    child = await peer.result("session.create", parent_id=first["id"])
    said = [{"role": "user", "content": f"line {number}", "metadata": number} for number in range(3)]
    await peer.result("message.send", session_id=child["id"], messages=said)
    await peer.result("session.update", id=first["id"], summary="they flew")
    for title in ("gone", "boats"):
        made = await peer.result("session.create", title=title)
        await peer.result("message.send", session_id=made["id"], content=title)
        await peer.result("session.delete", id=made["id"])
        if title == "gone":
            (deleted,) = (await peer.result("trash.list", entity="session"))["items"]
            await peer.result("trash.empty", id=deleted["id"])
            assert (await done(peer, "job.run", name="session.remove"))["result"] == "ok"


async def seen(peer: Peer) -> dict[str, Any]:
    """What a client can see of everything that `furnish` made."""
    return {
        "memories": await peer.result("memory.list"),
        "tagged": await peer.result("memory.list", tag="a"),
        "history": await peer.result("memory.history", key="k1"),
        "found": await peer.result("memory.search", query="replaced"),
        "decisions": await peer.result("decision.list"),
        "decided": await peer.result("decision.search", query="taste"),
        "errors": await peer.result("error.list"),
        "components": [one for one in (await peer.result("component.list"))["items"] if one["name"] == "web"],
        "actions": await peer.result("action.list"),
        "sessions": (sessions := await peer.result("session.list"))["items"],
        "tagged sessions": await peer.result("session.list", tag="a"),
        "said": [await peer.result("message.list", session_id=one["id"]) for one in sessions["items"]],
        "counted": [await peer.result("session.stats", id=one["id"]) for one in sessions["items"]],
        # Until when depends on the clock of who is asked: as many days from now on as were left.
        "trash": [{**one, "purge_at": None} for one in (await peer.result("trash.list"))["items"]],
    }
