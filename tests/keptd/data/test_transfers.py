"""Parts of archives: in order, bounded, and gone in time."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kept.wire.errors import Conflict, InvalidParams, NotFound, QuotaExceeded, StorageFailed, StorageFull
from keptd import transfers
from tests.harness import Daemon, Peer, running
from tests.working import done, refused

pytestmark = pytest.mark.anyio

SHA = "0" * 64
UNKNOWN = "f" * 32


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_parts_are_read_at_any_place_and_end_where_the_archive_ends(daemon: Daemon, peer: Peer) -> None:
    made = await done(peer, "data.export_all")
    whole = (Path(daemon.paths.data_dir) / "exports" / f"{made['id']}.tar").read_bytes()
    part = await peer.result("data.read", id=made["id"], offset=700, length=100)

    assert part == {"offset": 700, "data": b64(whole[700:800])}
    assert base64.b64decode((await peer.result("data.read", id=made["id"], offset=0))["data"]) == whole
    assert (await peer.result("data.read", id=made["id"], offset=len(whole)))["data"] == ""


async def test_archives_are_for_the_owner_alone(daemon: Daemon, peer: Peer) -> None:
    made = await done(peer, "data.export_all")
    begun = await done(peer, "data.begin", bytes=10, sha256=SHA)
    folder = Path(daemon.paths.data_dir) / "exports"

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name[:32] for path in folder.iterdir()} == {made["id"], begun["id"]}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_what_is_not_there_is_not_found(peer: Peer) -> None:
    assert await refused(peer, "data.read", id=UNKNOWN, offset=0) is NotFound
    assert await refused(peer, "data.write", id=UNKNOWN, offset=0, data="AAAA") is NotFound
    assert await refused(peer, "data.discard", id=UNKNOWN) is NotFound


@pytest.mark.parametrize("name", ["../kept", "..", "/etc/passwd", "f" * 31, "F" * 32, ""])
async def test_only_ids_are_taken_never_a_path(peer: Peer, name: str) -> None:
    assert await refused(peer, "data.read", id=name, offset=0) is InvalidParams
    assert await refused(peer, "data.write", id=name, offset=0, data="AAAA") is InvalidParams
    assert await refused(peer, "data.discard", id=name) is InvalidParams
    assert await refused(peer, "data.import_all", id=name) is InvalidParams


async def test_an_archive_on_its_way_in_is_not_given_out(peer: Peer) -> None:
    begun = await done(peer, "data.begin", bytes=10, sha256=SHA)

    assert await refused(peer, "data.read", id=begun["id"], offset=0) is NotFound


async def test_parts_come_in_order_and_not_past_the_end(peer: Peer) -> None:
    name = (await done(peer, "data.begin", bytes=10, sha256=SHA))["id"]

    assert (await done(peer, "data.write", id=name, offset=0, data=b64(b"123456")))["received"] == 6
    assert await refused(peer, "data.write", id=name, offset=0, data=b64(b"123456")) is Conflict
    assert await refused(peer, "data.write", id=name, offset=7, data=b64(b"8")) is Conflict
    assert await refused(peer, "data.write", id=name, offset=6, data=b64(b"78901")) is Conflict
    assert (await done(peer, "data.write", id=name, offset=6, data=b64(b"7890")))["received"] == 10


@pytest.mark.parametrize("data", ["no base64!", "AAA=AAAA", "AAAAA"])
async def test_a_part_that_is_no_base64_is_refused(peer: Peer, data: str) -> None:
    name = (await done(peer, "data.begin", bytes=10, sha256=SHA))["id"]

    assert await refused(peer, "data.write", id=name, offset=0, data=data) is InvalidParams


async def test_a_part_of_more_than_4_mebibytes_is_refused(peer: Peer) -> None:
    name = (await done(peer, "data.begin", bytes=10_000_000, sha256=SHA))["id"]

    assert (await done(peer, "data.write", id=name, offset=0, data=b64(bytes(4 * 1024 * 1024))))["received"] == 4194304
    assert (
        await refused(peer, "data.write", id=name, offset=4194304, data=b64(bytes(4 * 1024 * 1024 + 3)))
        is InvalidParams
    )
    assert await refused(peer, "data.read", id=name, offset=0, length=4 * 1024 * 1024 + 1) is InvalidParams


async def test_only_so_many_archives_wait_at_a_time(peer: Peer) -> None:
    names = [(await done(peer, "data.begin", bytes=1, sha256=SHA))["id"] for _ in range(transfers.AT_ONCE)]

    assert await refused(peer, "data.begin", bytes=1, sha256=SHA) is QuotaExceeded
    assert await refused(peer, "data.export_all") is QuotaExceeded
    await done(peer, "data.discard", id=names[0])
    await done(peer, "data.export_all")


async def test_an_archive_that_has_no_room_is_refused_before_it_comes(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (await done(peer, "data.begin", bytes=10, sha256=SHA))["id"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * 1024 * 1024))

    assert await refused(peer, "data.begin", bytes=10 * 1024 * 1024, sha256=SHA) is StorageFull
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1024))
    assert await refused(peer, "data.export_all") is StorageFull
    monkeypatch.setattr(transfers.Transfers, "write", no_room)
    assert await refused(peer, "data.write", id=name, offset=0, data="AAAA") is StorageFull


def no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_an_export_that_fails_leaves_nothing(daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    assert await refused(peer, "data.export_all") is StorageFailed
    monkeypatch.undo()
    assert list((Path(daemon.paths.data_dir) / "exports").iterdir()) == []


async def test_what_is_left_over_goes_at_the_start(home: Path) -> None:
    async with running(home) as daemon:
        peer = await daemon.connect()
        await done(peer, "data.export_all")
        await done(peer, "data.begin", bytes=1, sha256=SHA)
    assert len(list((home / "exports").iterdir())) == 2
    async with running(home):
        assert list((home / "exports").iterdir()) == []


async def test_what_is_left_over_goes_after_a_day(home: Path, peer: Peer) -> None:
    old = (await done(peer, "data.export_all"))["id"]
    new = (await done(peer, "data.export_all"))["id"]
    day_ago = (home / "exports" / f"{old}.tar").stat().st_mtime - 86_401
    os.utime(home / "exports" / f"{old}.tar", (day_ago, day_ago))
    run = await done(peer, "job.run", name="data.tidy")

    assert run["summary"] == "1 archives removed"
    assert [path.name for path in (home / "exports").iterdir()] == [f"{new}.tar"]
    assert (await done(peer, "job.run", name="data.tidy"))["summary"] == "nothing was left over"
