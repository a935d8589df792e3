"""The whole daemon on a file system that fills up."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest

from kept.client import Client
from kept.wire.daemon import Status
from kept.wire.errors import NotFound, StorageFull
from kept.wire.journal import LogAction
from kept.wire.memory import DeleteMemory, GetMemory, SetMemory
from tests.small_disk import SmallDisk, small_disk

from .homes import Home, home, stored

SETTINGS = {"KEPT_STORAGE_BALLAST_BYTES": str(1024 * 1024)}


def fill_until_refused(client: Client, room: SmallDisk) -> list[str]:
    """Fill the disk and write until a write is refused; the actions that were acknowledged before."""
    room.fill()
    taken: list[str] = []
    for number in range(500):
        try:
            client.call(LogAction(action=f"action {number}", details="x" * 20_000))
        except StorageFull:
            return taken
        taken.append(f"action {number}")
    pytest.fail("it never got full")


def check_full(client: Client) -> None:
    assert client.call(Status()).storage.state == "full"
    assert client.call(GetMemory(key="before")).value == 1
    with pytest.raises(StorageFull) as refused:
        client.call(SetMemory(key="no", value="x" * 20_000))
    assert "space" in refused.value.hint
    assert refused.value.data["needed_bytes"] == 2 * 1024 * 1024 > refused.value.data["free_bytes"]
    with pytest.raises(NotFound):
        client.call(GetMemory(key="no"))


def finish(place: Home, room: SmallDisk, client: Client, taken: list[str]) -> None:
    """Room returns: the daemon takes writes again, and what it had acknowledged is there."""
    client.call(DeleteMemory(key="gone"))
    room.clear()
    client.call(SetMemory(key="after", value=2))
    assert client.call(Status()).storage.state == "ok"
    place.end(SIGTERM)
    with stored(place) as db:
        actions = [str(action) for (action,) in db.execute("SELECT action FROM action ORDER BY seq")]
        keys = {str(key) for (key,) in db.execute("SELECT key FROM memory")}
    assert actions == taken
    assert keys == {"before", "after"}


def test_a_daemon_on_a_full_disk_reads_deletes_and_recovers(tmp_path: Path) -> None:
    with small_disk(tmp_path, "8m") as room, home(tmp_path, **SETTINGS) as place, place.connect() as client:
        client.call(SetMemory(key="before", value=1))
        client.call(SetMemory(key="gone", value=1))
        taken = fill_until_refused(client, room)
        check_full(client)
        finish(place, room, client, taken)


@pytest.mark.parametrize("ending", [SIGKILL, SIGTERM])
def test_a_daemon_that_ends_on_a_full_disk_starts_there_again(tmp_path: Path, ending: Signals) -> None:
    with small_disk(tmp_path, "8m") as room, home(tmp_path, **SETTINGS) as place, place.connect() as client:
        client.call(SetMemory(key="before", value=1))
        client.call(SetMemory(key="gone", value=1))
        taken = fill_until_refused(client, room)
        place.end(ending)
        room.fill()
        check_full(client)
        finish(place, room, client, taken)


def test_large_values_that_filled_a_disk_are_deleted_one_by_one_until_writes_work_again(tmp_path: Path) -> None:
    settings = {"KEPT_STORAGE_BALLAST_BYTES": str(8 * 1024 * 1024)}
    with small_disk(tmp_path, "60m") as room, home(tmp_path, **settings) as place, place.connect() as client:
        taken: list[str] = []

        def fill() -> None:
            while client.call(Status()).storage.state == "ok":
                with suppress(StorageFull):
                    client.call(SetMemory(key=f"k{len(taken)}", value=f"{len(taken)} ".ljust(500_000, "x")))
                    taken.append(f"k{len(taken)}")

        fill()
        room.fill()
        fill()  # The log may have been moved between the two, so that writes worked again.
        deleted = 0
        for key in taken:
            if client.call(Status()).storage.state == "ok":
                break
            client.call(DeleteMemory(key=key))
            deleted += 1
        assert client.call(Status()).storage.state == "ok"
        assert 0 < deleted < len(taken)
        client.call(SetMemory(key="after", value="x" * 500_000))
        assert client.call(GetMemory(key=taken[-1])).key == taken[-1]
        place.end(SIGTERM)
        with stored(place) as db:
            keys = {str(key) for (key,) in db.execute("SELECT key FROM memory")}
    assert keys == {*taken[deleted:], "after"}
