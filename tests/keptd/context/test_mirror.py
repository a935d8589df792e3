"""The mirror files, written from a real store on a real loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from kept.wire import Call
from kept.wire.journal import LogAction
from kept.wire.memory import SetMemory
from keptd import component, context, journal, memory
from keptd.bus import Bus
from keptd.config import Config
from keptd.context.mirror import Mirror
from keptd.domain import WriteCtx
from keptd.store import Store
from keptd.store.background import write
from keptd.store.changes import ChangeLog
from keptd.store.writer import Written
from tests.rooms import ACTOR, FakeClock

pytestmark = pytest.mark.anyio

ROOMS = (memory.DOMAIN, journal.DOMAIN, component.DOMAIN, context.DOMAIN)
HANDLERS = {handler.call: handler for room in ROOMS for handler in room.handlers}


class Home:
    """A store with the rooms that the mirror shows, and a mirror of it."""

    def __init__(self, folder: Path, store: Store, bus: Bus, clock: FakeClock, config: Config) -> None:
        self.state = folder / "current" / "state.json"
        self.actions = folder / "history" / "actions.jsonl"
        self._folder, self._store, self._bus, self._clock, self._config = folder, store, bus, clock, config

    def mirror(self) -> Mirror:
        return Mirror(self._folder, self._store, self._bus, self._clock, lambda: self._config, tuple, ACTOR)

    async def do(self, call: Call[Any]) -> None:
        def run(db: apsw.Connection) -> Written:
            log = ChangeLog(db, self._clock.now(), ACTOR, call.method)
            HANDLERS[type(call)].run(WriteCtx(db, self._clock, ACTOR, self._config, log), call)
            return Written(b"", log.last_seq)

        await write(self._store, self._clock, run)

    def mirrored(self) -> list[str]:
        return [json.loads(line)["action"]["action"] for line in self.actions.read_text().splitlines()]


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


async def test_a_new_mirror_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    async with home(tmp_path) as kept:
        for number in range(3):
            await kept.do(LogAction(action=f"action {number}"))
        assert await kept.mirror().catch_up()
        with kept.actions.open("ab") as file:
            file.write(b'{"seq":4,"action":{"torn by a cra')
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
    from keptd.config import Mirror as MirrorSettings

    async with home(tmp_path, Config(mirror=MirrorSettings(enabled=False))) as kept:
        await kept.do(LogAction(action="first"))
        assert not await kept.mirror().catch_up()
        assert not kept.state.exists()
