"""A disk without any room: what needs room is refused, what makes room works, nothing is half done, and all goes on
when there is room again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kept.client import Client
from kept.wire import Call
from kept.wire.daemon import Status
from kept.wire.data import DeleteAll
from kept.wire.errors import StorageFull
from kept.wire.maintenance import CheckDatabase, OptimizeDatabase
from kept.wire.memory import DeleteMemory, ListMemories, SearchMemories, SetMemory
from kept.wire.trash import EmptyTrash, ListTrash, RestoreTrash
from tests.crash.homes import home
from tests.small_disk import SmallDisk, small_disk

SETTINGS = {"KEPT_STORAGE_BALLAST_BYTES": str(512 * 1024)}
KEYS = 30


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[SmallDisk, Client]]:
    """A daemon whose disk has no room; a third of what it keeps is in the trash."""
    with small_disk(tmp_path, "16m") as room, home(tmp_path, **SETTINGS) as place, place.connect() as client:
        for number in range(KEYS):
            client.call(SetMemory(key=f"k{number}", value=f"{number} zebra " + "x" * 20_000))
        for number in range(0, KEYS, 3):
            client.call(DeleteMemory(key=f"k{number}"))
        room.fill()
        yield room, client


def keys(client: Client) -> set[str]:
    return {one.key for one in client.call(ListMemories(limit=1000)).items}


def call_all(client: Client, wanted: Iterable[Call[Any]]) -> None:
    for call in wanted:
        client.call(call)


def goes_on(room: SmallDisk, client: Client) -> None:
    """When there is room again, everything works, and nothing is damaged."""
    room.clear()
    client.call(SetMemory(key="after", value="after all"))
    assert client.call(Status()).storage.state == "ok"
    found = {one.what: one.verdict for one in client.call(CheckDatabase()).findings}
    assert {found[what] for what in ("structure", "references", "search", "files", "keptd.storage")} == {"ok"}
    assert client.call(SearchMemories(query="after")).items


def test_what_is_in_the_trash_does_not_come_back_without_room_and_can_be_emptied(
    disk: tuple[SmallDisk, Client],
) -> None:
    room, client = disk
    trashed = client.call(ListTrash(limit=1000)).items
    present = keys(client)
    with pytest.raises(StorageFull):
        call_all(client, (RestoreTrash(id=one.id) for one in trashed))
    left = client.call(ListTrash(limit=1000)).items
    assert len(left) + len(keys(client)) == KEYS
    assert keys(client) >= present
    assert client.call(EmptyTrash()).removed == len(left)
    assert client.call(ListTrash()).items == []
    goes_on(room, client)


def test_deleting_goes_on_and_keeps_no_copy(disk: tuple[SmallDisk, Client]) -> None:
    room, client = disk
    with pytest.raises(StorageFull):
        call_all(client, (SetMemory(key=f"more {number}", value="y" * 20_000) for number in range(100)))
    for key in sorted(keys(client)):
        client.call(DeleteMemory(key=key))
    assert keys(client) == set()
    goes_on(room, client)


def test_optimizing_gives_back_what_it_can_and_changes_nothing_else(disk: tuple[SmallDisk, Client]) -> None:
    room, client = disk
    with pytest.raises(StorageFull):
        call_all(client, (SetMemory(key=f"more {number}", value="y" * 20_000) for number in range(100)))
    before = keys(client)
    with suppress(StorageFull):
        client.call(OptimizeDatabase())
    assert keys(client) == before
    assert len(client.call(SearchMemories(query="zebra", limit=100)).items) == KEYS - KEYS // 3
    goes_on(room, client)
    client.call(OptimizeDatabase())


@pytest.mark.parametrize("left", [0, 256, 1024, 4096])
def test_everything_is_deleted_or_nothing_is(tmp_path: Path, left: int) -> None:
    with small_disk(tmp_path, "16m") as room, home(tmp_path, **SETTINGS) as place, place.connect() as client:
        for number in range(KEYS):
            client.call(SetMemory(key=f"k{number}", value=f"{number} zebra " + "x" * 20_000))
        room.fill(left * 1024)
        everything = DeleteAll(confirm=f"delete everything in {tmp_path.name}")
        try:
            client.call(everything)
        except StorageFull:
            assert left < 4096
            assert len(keys(client)) == KEYS
            room.clear()
            client.call(everything)
            room.fill(1024 * 1024)
        assert keys(client) == set()
        assert b"zebra" not in (tmp_path / "kept.db").read_bytes()
        goes_on(room, client)
