"""The mirror files, written from a real store on a real loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import apsw
import pytest

from kept.wire import Call
from kept.wire.journal import LogAction
from kept.wire.memory import SetMemory
from keptd import component, context, journal, memory, sessions
from keptd.bus import Bus
from keptd.config import Config
from keptd.config import Mirror as MirrorSettings
from keptd.context import mirror as mirrors
from keptd.context.mirror import Mirror, pause
from keptd.domain import WriteCtx
from keptd.store import Store
from keptd.store.background import write
from keptd.store.changes import ChangeLog
from keptd.store.writer import Written
from tests.rooms import ACTOR, FakeClock

pytestmark = pytest.mark.anyio

ROOMS = (memory.DOMAIN, journal.DOMAIN, component.DOMAIN, sessions.DOMAIN, context.DOMAIN)
HANDLERS = {handler.call: handler for room in ROOMS for handler in room.handlers}

OFF = Config(mirror=MirrorSettings(enabled=False))


class Home:
    """A store with the rooms that the mirror shows, and a mirror of it."""

    def __init__(self, folder: Path, store: Store, bus: Bus, clock: FakeClock, config: Config) -> None:
        self.state = folder / "current" / "state.json"
        self.actions = folder / "history" / "actions.jsonl"
        self.bus, self.config = bus, config
        self._folder, self._store, self._clock = folder, store, clock

    def mirror(self) -> Mirror:
        return Mirror(self._folder, self._store, self.bus, self._clock, lambda: self.config, tuple, ACTOR)

    async def do(self, call: Call[Any]) -> None:
        def run(db: apsw.Connection) -> Written:
            log = ChangeLog(db, self._clock.now(), ACTOR, call.method)
            HANDLERS[type(call)].run(WriteCtx(db, self._clock, ACTOR, self.config, log), call)
            return Written(b"", log.last_seq)

        await write(self._store, self._clock, run)

    def mirrored(self) -> list[str]:
        return [json.loads(line)["action"]["action"] for line in self.actions.read_text().splitlines()]

    def set_aside(self) -> list[bytes]:
        return [path.read_bytes() for path in self.actions.parent.iterdir() if path != self.actions]


@asynccontextmanager
async def home(folder: Path, config: Config | None = None) -> AsyncIterator[Home]:
    bus, clock, settings = Bus(), FakeClock(), config or Config()
    migrations = [(room.name, room.migrations) for room in ROOMS]
    store = Store(folder / "kept.db", migrations, settings.storage, clock, bus.advance)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.completions.deliver)
            yield Home(folder, store, bus, clock, settings)
            tasks.cancel_scope.cancel()
    finally:
        store.close()


async def test_state_is_the_bundle_and_actions_are_lines(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        await kept.do(SetMemory(key="port", value=8080))
        await kept.do(LogAction(action="first"))
        await kept.do(LogAction(action="second"))
        assert await kept.mirror().catch_up()
        state = json.loads(kept.state.read_text())
        assert state["sections"][0]["items"][0]["text"] == "port: 8080"
        assert kept.mirrored() == ["first", "second"]
        assert [json.loads(line)["place"] for line in kept.actions.read_text().splitlines()] == [1, 2]


async def test_a_new_mirror_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        for number in range(3):
            await kept.do(LogAction(action=f"action {number}"))
        assert await kept.mirror().catch_up()
        with kept.actions.open("ab") as file:
            file.write(b'{"place":4,"action":{"torn by a cra')
        await kept.do(LogAction(action="action 3"))
        assert await kept.mirror().catch_up()
        assert kept.mirrored() == [f"action {number}" for number in range(4)]


async def test_an_action_stands_in_the_file_once_however_often_it_is_written(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        mirror = kept.mirror()
        for number in range(5):
            await kept.do(LogAction(action=f"action {number}"))
            assert await mirror.catch_up()
            assert await kept.mirror().catch_up()
        assert kept.mirrored() == [f"action {number}" for number in range(5)]


async def test_the_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        await kept.do(LogAction(action="first"))
        assert await kept.mirror().catch_up()
        assert kept.state.parent.stat().st_mode & 0o077 == 0
        assert kept.actions.parent.stat().st_mode & 0o077 == 0


async def test_a_mirror_that_can_not_be_written_is_tried_again(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        (tmp_path / "current").write_text("a file in the way")
        await kept.do(LogAction(action="first"))
        mirror = kept.mirror()
        assert not await mirror.catch_up()
        (tmp_path / "current").unlink()
        assert await mirror.catch_up()
        assert kept.mirrored() == ["first"]


async def test_a_mirror_that_is_switched_off_writes_nothing(tmp_path: Path) -> None:
    async with home(tmp_path, OFF) as kept:
        await kept.do(LogAction(action="first"))
        assert not await kept.mirror().catch_up()
        assert not kept.state.exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"no JSON\n",
        b"\xff\xfe\n",
        b'{"place":"3","action":{}}\n',
        b"\n",
        b"[" * 100_000 + b"\n",
        b"x" * (mirrors._TAIL + 1),
    ],
    ids=["text", "not UTF-8", "another shape", "empty line", "deep", "no end of line"],
)
async def test_a_file_with_a_damaged_end_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    async with home(tmp_path) as kept:
        await kept.do(LogAction(action="first"))
        kept.actions.parent.mkdir(mode=0o700)
        kept.actions.write_bytes(damage)
        assert await kept.mirror().catch_up()
        assert kept.mirrored() == ["first"]
        assert kept.set_aside() == [damage]


@pytest.mark.parametrize("theirs", [1, 3])
async def test_the_file_of_another_database_is_set_aside_whole(tmp_path: Path, theirs: int) -> None:
    async with home(tmp_path) as before:
        for number in range(theirs):
            await before.do(LogAction(action=f"theirs {number}"))
        assert await before.mirror().catch_up()
        old = before.actions.read_bytes()
    (tmp_path / "kept.db").unlink()
    async with home(tmp_path) as kept:
        for number in range(2):
            await kept.do(LogAction(action=f"ours {number}"))
        assert await kept.mirror().catch_up()
        assert kept.mirrored() == ["ours 0", "ours 1"]
        assert kept.set_aside() == [old]


async def test_a_line_that_a_full_disk_cut_short_is_mended_before_more_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Mirror, _page: object) -> None:
        with self._actions.open("ab") as file:
            file.write(b'{"place":2,"act')
        raise OSError(28, "full")

    async with home(tmp_path) as kept:
        mirror = kept.mirror()
        await kept.do(LogAction(action="first"))
        assert await mirror.catch_up()
        await kept.do(LogAction(action="second"))
        with monkeypatch.context() as full:
            full.setattr(Mirror, "_append_actions", fail)
            assert not await mirror.catch_up()
        assert await mirror.catch_up()
        assert kept.mirrored() == ["first", "second"]


def test_a_mirror_that_fails_is_tried_after_ever_longer_pauses() -> None:
    assert [pause(1, failures) for failures in (0, 1, 2, 3, 9, 5000)] == [1, 2, 4, 8, 300, 300]
    assert pause(3600, 4) == 3600


class Naps:
    """Stands in for the pauses: each ends when the next is asked for."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.lengths: list[float] = []
        self._meanwhile = meanwhile

    async def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)
        self._meanwhile()
        await anyio.lowlevel.checkpoint()
        if len(self.lengths) == 4:
            await anyio.Event().wait()


async def test_following_pauses_longer_after_each_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps = Naps()
    async with home(tmp_path) as kept, anyio.create_task_group() as tasks:
        (tmp_path / "current").write_text("a file in the way")
        monkeypatch.setattr(anyio, "sleep", naps)
        tasks.start_soon(kept.mirror().follow)
        with anyio.fail_after(10):
            while len(naps.lengths) < 4:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert naps.lengths == [2, 4, 8, 16]


async def test_a_mirror_that_is_switched_off_sleeps_until_something_happens_and_a_reload_wakes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = Naps()
    async with home(tmp_path, OFF) as kept, anyio.create_task_group() as tasks:
        await kept.do(LogAction(action="first"))
        mirror = kept.mirror()
        monkeypatch.setattr(anyio, "sleep", naps)
        tasks.start_soon(mirror.follow)
        await anyio.wait_all_tasks_blocked()
        assert (naps.lengths, kept.actions.exists()) == ([], False)
        kept.config = Config()
        mirror.reload()
        with anyio.fail_after(10):
            while not naps.lengths:
                await anyio.lowlevel.checkpoint()
        assert kept.mirrored() == ["first"]
        tasks.cancel_scope.cancel()


async def test_a_reload_in_the_middle_of_a_pause_is_heeded_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home(tmp_path) as kept, anyio.create_task_group() as tasks:
        mirror = kept.mirror()
        naps = Naps(meanwhile=mirror.reload)
        monkeypatch.setattr(anyio, "sleep", naps)
        tasks.start_soon(mirror.follow)
        with anyio.fail_after(10):
            while len(naps.lengths) < 2:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
