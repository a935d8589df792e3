"""A backup of which any byte is missing or changed: refused by backup.verify and by backup.restore, before anything is
replaced.

A sample of the bytes: both ends of each file, where the forms of its format are, and some between. `make damage` takes
every length and every bit, and of both through a daemon a larger sample.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from kept.wire.errors import Conflict
from keptd.backups.archive import ARCHIVE, MANIFEST
from keptd.backups.beside import FOLDER, Original
from keptd.backups.create import verify
from keptd.backups.work import Work
from keptd.domain import Domain
from keptd.store.damage import Damage
from tests.harness import Daemon, Peer
from tests.working import done, refused

from .shelf import SETS, Shelf, shelf

ALL = os.environ.get("KEPT_DAMAGE") == "all"
ENDS = 12
BESIDE = f"{FOLDER}/archives/actions-2026-01.jsonl.zst"
FILES = (MANIFEST, ARCHIVE, BESIDE)


def places(size: int, between: int, ends: int) -> list[int]:
    middle = Random(size).sample(range(size), min(between, size))
    return sorted({*range(min(ends, size)), *range(max(0, size - ends), size), *middle})


def harmed(whole: bytes, between: int, ends: int, *, bits: bool = False) -> Iterator[tuple[str, bytes]]:
    """What a file could be instead, and which that is; with each bit of a byte, or one of them."""
    for length in places(len(whole), between, ends):
        yield f"cut at {length}", whole[:length]
    for at in places(len(whole), between, ends):
        for bit in range(8) if bits else (at % 8,):
            yield f"bit {bit} of byte {at}", whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    yield "one byte more", whole + b"\0"
    yield "twice", whole * 2


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Shelf]:
    """A shelf with a file beside it."""
    with shelf(tmp_path) as found:
        (tmp_path / "archives").mkdir(mode=0o700)
        (tmp_path / "archives" / Path(BESIDE).name).write_bytes(Random(1).randbytes(300))
        room = Domain("notes", folders=("archives",))
        found.original = Original(found.path, (room,), Damage(lambda _noticed: None))
        yield found


@pytest.mark.parametrize("name", FILES)
def test_a_backup_that_is_not_what_it_was_is_bad(made: Shelf, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = made.verified()
    assert found.is_verified
    file = found.folder / name
    whole = file.read_bytes()
    monkeypatch.setattr(os, "fdatasync", lambda _file: None)  # Thousands of checks are recorded.
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    for what, content in harmed(whole, len(whole) if ALL else 60, ENDS, bits=ALL):
        file.write_bytes(content)
        with made.place.alone():
            again = verify(made.place, found.id, SETS, made.clock, Work(made.clock))
        assert again.problem, what
        assert not again.is_verified
    file.write_bytes(whole)
    with made.place.alone():
        assert verify(made.place, found.id, SETS, made.clock, Work(made.clock)).is_verified


@pytest.mark.anyio
@pytest.mark.parametrize("name", FILES)
async def test_nothing_is_replaced_by_a_backup_that_is_not_what_it_was(
    home: Path, daemon: Daemon, peer: Peer, name: str
) -> None:
    for number in range(3):
        await peer.result("action.log", action=f"old {number}")
    daemon.clock.advance(100 * 86_400)
    await peer.result("action.log", action="new")
    await done(peer, "job.run", name="journal.archive")
    backup = await done(peer, "backup.create")
    await peer.result("memory.set", key="after", value=1)
    file = home / "backups" / backup["id"] / name
    whole = file.read_bytes()
    before = await peer.result("event.list")
    for what, content in harmed(whole, 100 if ALL else 4, 3):
        file.write_bytes(content)
        assert await refused(peer, "backup.restore", id=backup["id"]) is Conflict, what
        assert await refused(peer, "backup.verify", id=backup["id"]) is Conflict, what
    assert await peer.result("event.list") == before
    assert (await peer.result("memory.get", key="after"))["value"] == 1
    assert [one["id"] for one in (await peer.result("backup.list"))["items"]] == [backup["id"]]
    file.write_bytes(whole)
    assert (await done(peer, "backup.verify", id=backup["id"]))["problem"] is None
    await done(peer, "backup.restore", id=backup["id"])
    assert (await peer.result("memory.list"))["items"] == []
