"""The mirror: `current/state.json` and `history/actions.jsonl` below the data folder, for tools that only read files.

`state.json` is the context bundle, replaced as a whole; a reader sees the old one or the new one. `actions.jsonl`
has one action a line and only grows; its last whole line says how far it has come, so that it goes on where it was
after any end of the daemon. The database is what counts: a mirror that can't be written is logged and tried again.
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
from ..clock import Clock
from ..config import Config
from ..domain import ReadCtx, SelfReport
from ..home import UnusableHome, make_private
from ..journal import store as journal
from ..store import Store
from ..store.background import read
from . import gather, rules

log = structlog.get_logger(__name__)

_PAGE = 500
_TAIL = 4 * 1024 * 1024
"""Bytes at the end of actions.jsonl that hold its last line: an action's text and details take less than 2 MiB."""


class _Line(msgspec.Struct, frozen=True):
    """An action as it stands in actions.jsonl, under its place in the journal."""

    seq: int
    action: Action


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(_Line).decode
_lines = msgspec.json.Decoder(list[_Line]).decode


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
    ) -> None:
        self._state = folder / "current" / "state.json"
        self._actions = folder / "history" / "actions.jsonl"
        self._store = store
        self._bus = bus
        self._clock = clock
        self._config = config
        self._self_reports = self_reports
        self._actor = actor
        self._written = b""
        self._actions_seq = -1
        self._one_at_a_time = anyio.Lock()

    async def follow(self) -> None:
        """Write what has changed, until cancelled."""
        seen = -1
        while True:
            await self._bus.wait(seen)
            newest = self._bus.seq
            if await self.catch_up():
                seen = newest
            await anyio.sleep(self._config().mirror.interval_seconds)

    async def catch_up(self) -> bool:
        """Bring both files up to date; False where that failed, or is switched off."""
        if not self._config().mirror.enabled:
            return False
        async with self._one_at_a_time:
            return await self._write()

    async def _write(self) -> bool:
        try:
            state = await read(self._store, self._clock, self._bundle)
            await anyio.to_thread.run_sync(self._replace_state, state)
            if self._actions_seq < 0:
                self._actions_seq = await anyio.to_thread.run_sync(self._mend_actions)
            while page := _lines(await read(self._store, self._clock, self._actions_page)):
                await anyio.to_thread.run_sync(self._append_actions, page)
        except KeptError as refusal:
            log.warning("mirror not written", reason=refusal.type)
            return False
        except (OSError, UnusableHome) as fault:
            log.warning("mirror not written", reason=type(fault).__name__)
            return False
        return True

    def _bundle(self, db: apsw.Connection) -> bytes:
        config = self._config()
        context = ReadCtx(db, self._clock, self._actor, config, self._self_reports)
        budget = config.mirror.budget_tokens
        sections = rules.fill(gather.shelves(context, None), budget)
        return _encode(rules.bundle(sections, budget, wants_markdown=False, known=None))

    def _actions_page(self, db: apsw.Connection) -> bytes:
        found = journal.actions_after(db, self._actions_seq, _PAGE)
        return _encode([_Line(seq, action) for seq, action in found])

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
        self._actions_seq = page[-1].seq

    def _mend_actions(self) -> int:
        """Cut off a line that a crash left unfinished; returns the place of the last whole one (0 for none)."""
        make_private(self._actions.parent)
        with self._actions.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            file.truncate(size - len(tail) + whole)
        if not whole:
            return 0
        return _decode_line(tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]).seq
