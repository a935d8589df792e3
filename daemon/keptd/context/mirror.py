"""The mirror: `current/state.json` and `history/actions.jsonl` below the data folder, for tools that only read files.

`state.json` is the context bundle, replaced as a whole; a reader sees the old one or the new one. `actions.jsonl`
has one action a line and only grows; its last whole line says how far it has come, so that it goes on where it was
after any end of the daemon. A file whose last line is damaged, or is of another database, is set aside under the time
and a new one begun. The database is what counts: a mirror that can't be written is logged, and tried again after ever
longer pauses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import apsw
import msgspec
import structlog

from kept.wire import Actor
from kept.wire.errors import KeptError
from kept.wire.journal import Action

from ..bus import Bus
from ..clock import Clock, to_time
from ..config import Config
from ..domain import ReadCtx, SelfReport
from ..home import UnusableHome, make_private, overwrite
from ..journal import store as journal
from ..store import Store
from ..store.background import read
from . import gather, rules

log = structlog.get_logger(__name__)

_PAGE = 500
_TAIL = 4 * 1024 * 1024
"""Bytes at the end of actions.jsonl that hold its last line: an action's text and details take less than 2 MiB."""

_LONGEST_PAUSE = 300.0
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a line that the mirror did not write."""


class _NotOurs(Exception):
    """The file of actions ends with what this database's mirror did not write."""


class _Line(msgspec.Struct, frozen=True):
    """An action as it stands in actions.jsonl, under its place in the journal."""

    place: int
    action: Action


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(_Line).decode
_lines = msgspec.json.Decoder(list[_Line]).decode
_is_true = msgspec.json.Decoder(bool).decode


class Mirror:
    """Writes the two files after changes, at most once in the configured interval."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        bus: Bus,
        clock: Clock,
        config: Callable[[], Config],
        self_reports: Callable[[], Sequence[SelfReport]],
        actor: Actor,
        at_home: Callable[[], bool] = lambda: True,
    ) -> None:
        """`at_home` tells whether the folder is still the daemon's: one that was removed is not made again, and what
        another daemon has begun in its place is left alone."""
        self._state = folder / "current" / "state.json"
        self._actions = folder / "history" / "actions.jsonl"
        self._store = store
        self._bus = bus
        self._clock = clock
        self._config = config
        self._self_reports = self_reports
        self._actor = actor
        self._at_home = at_home
        self._written = b""
        self._actions_seq = -1
        self._one_at_a_time = anyio.Lock()
        self._seen = -1
        self._waiting: anyio.CancelScope | None = None

    async def follow(self) -> None:
        """Write what has changed, until cancelled."""
        failures = 0
        while True:
            with anyio.CancelScope() as self._waiting:
                await self._bus.wait(self._seen)
            self._waiting = None
            self._seen = self._bus.seq
            if not self._config().mirror.enabled:
                continue
            failures = 0 if await self.catch_up() else failures + 1
            if failures:
                self._seen = -1
            await anyio.sleep(pause(self._config().mirror.interval_seconds, failures))

    def reload(self) -> None:
        """The settings have changed: look at them now, and not only after the next change."""
        self._seen = -1
        if self._waiting is not None:
            self._waiting.cancel()

    async def catch_up(self) -> bool:
        """Bring both files up to date; False where that failed, is switched off, or the home is gone."""
        if not self._config().mirror.enabled or not self._at_home():
            return False
        async with self._one_at_a_time:
            return await self._write()

    async def renew(self) -> None:
        """Begin both files anew, after what is kept has been replaced as a whole."""
        async with self._one_at_a_time:
            await anyio.to_thread.run_sync(self._remove)
        await self.catch_up()

    def _remove(self) -> None:
        aside = sorted(self._actions.parent.glob("actions-*.jsonl"))
        for file in (self._state, self._state.with_suffix(".new"), self._actions, *aside):
            overwrite(file)
        self._written = b""
        self._actions_seq = -1

    async def _write(self) -> bool:
        try:
            state = await read(self._store, self._clock, self._bundle)
            await anyio.to_thread.run_sync(self._replace_state, state)
            if self._actions_seq < 0:
                await self._go_on()
            while page := _lines(await read(self._store, self._clock, self._actions_page)):
                await anyio.to_thread.run_sync(self._append_actions, page)
        except KeptError as refusal:
            log.warning("mirror not written", reason=refusal.type)
            return False
        except (OSError, UnusableHome) as fault:
            self._actions_seq = -1  # A line may have been left unfinished.
            log.warning("mirror not written", reason=type(fault).__name__)
            return False
        return True

    async def _go_on(self) -> None:
        """Find out how far the file has come, or begin a new one."""
        try:
            last = await anyio.to_thread.run_sync(self._mend_actions)
            is_ours = last is None or await self._is_ours(last)
        except _NotOurs:
            last, is_ours = None, False
        if not is_ours:
            await anyio.to_thread.run_sync(self._set_aside)
            log.warning("mirror set aside", file=self._actions.name)
            last = None
        self._actions_seq = last.place if last is not None else 0

    async def _is_ours(self, line: _Line) -> bool:
        """Whether the line is of this database: its action is there, or was, if it has gone from the table."""

        def run(db: apsw.Connection) -> bytes:
            found = journal.action_id_at(db, line.place)
            return _encode(found == line.action.id if found is not None else line.place <= journal.last_action(db))

        return _is_true(await read(self._store, self._clock, run))

    def _bundle(self, db: apsw.Connection) -> bytes:
        config = self._config()
        context = ReadCtx(db, self._clock, self._actor, config, self._self_reports)
        budget = config.mirror.budget_tokens
        filled = rules.arrange(gather.shelves(context, None), budget)
        return _encode(rules.bundle(filled, budget, wants_markdown=False, known=None))

    def _actions_page(self, db: apsw.Connection) -> bytes:
        found = journal.actions_after(db, self._actions_seq, _PAGE)
        return _encode([_Line(place, action) for place, action in found])

    def _replace_state(self, state: bytes) -> None:
        if state == self._written:
            return
        make_private(self._state.parent)
        aside = self._state.with_suffix(".new")
        with aside.open("wb") as file:
            file.write(state + b"\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self._state)
        self._written = state

    def _append_actions(self, page: Sequence[_Line]) -> None:
        with self._actions.open("ab") as file:
            file.writelines(_encode(line) + b"\n" for line in page)
        self._actions_seq = page[-1].place

    def _mend_actions(self) -> _Line | None:
        """Cut off a line that a crash left unfinished; returns the last whole one, if any. Raises `_NotOurs`."""
        make_private(self._actions.parent)
        with self._actions.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if not whole and size > len(tail):
                raise _NotOurs
            try:
                last = _decode_line(tail[: whole - 1].rpartition(b"\n")[2]) if whole else None
            except _DAMAGE:
                raise _NotOurs from None
            file.truncate(size - len(tail) + whole)
        return last

    def _set_aside(self) -> None:
        now = to_time(self._clock.now())
        self._actions.rename(self._actions.with_name(f"actions-{now:%Y%m%dT%H%M%S%f}.jsonl"))


def pause(interval: float, failures: int) -> float:
    """Seconds until the next attempt: twice as long with every failure in a row, at most five minutes."""
    return max(interval, min(interval * 2.0 ** min(failures, 20), _LONGEST_PAUSE))
