"""The housekeeping of the database: many small writes, between which the writes of others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import apsw
import msgspec

from kept.wire.maintenance import Optimized

from ..clock import Clock
from ..domain import Domain, Tell
from ..store import Store
from ..store.background import cut_log, read, write
from ..store.search import remake
from ..store.writer import Written
from . import store as sql

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[str]).decode


async def optimize(store: Store, clock: Clock, rooms: Sequence[Domain], tell: Tell) -> Optimized:
    """Statistics, text indexes, free pages, and the log. Raises `StorageFull` or `StorageFailed`.

    An index that differs from its table is made anew; that alone is one long write.
    """
    return await _Optimizing(store, clock, rooms, tell).run()


class _Optimizing:
    def __init__(self, store: Store, clock: Clock, rooms: Sequence[Domain], tell: Tell) -> None:
        self._store = store
        self._clock = clock
        self._indexes = {index.name: index for room in rooms for index in room.indexes}
        self._tell = tell
        self._did: list[str] = []

    async def run(self) -> Optimized:
        async with self._store.upkeep.hold():
            before = await self._step(sql.pages)
            await self._statistics()
            await self._rebuild()
            for index in await self._step(sql.text_indexes):
                await self._merge(index)
            await self._vacuum()
            await (cut_log(self._store, self._clock) if self._did else self._store.checkpoint())
            after = await self._step(sql.pages)
        return Optimized(did=tuple(self._did) or ("nothing was to do",), freed_bytes=max(0, before.bytes - after.bytes))

    async def _statistics(self) -> None:
        for table in await self._step(sql.misleading_statistics):
            await self._step(partial(sql.forget, table=table))
        wanted = await self._step(sql.stale_statistics)
        for number, statement in enumerate(wanted):
            self._tell(number, len(wanted), "gathering statistics")
            await self._step(partial(sql.analyze, sql=statement))
        if wanted:
            self._did.append(f"statistics of {len(wanted)} tables")

    async def _rebuild(self) -> None:
        def differing(db: apsw.Connection) -> bytes:
            return _encode(list(sql.unindexed(db, self._indexes.values())))

        for name in _decode(await read(self._store, self._clock, differing)):
            self._tell(0, 0, f"making {name} anew")
            await self._step(partial(remake, index=self._indexes[name]))
            self._did.append(f"{name} made anew")

    async def _merge(self, index: str) -> None:
        steps = 0
        begin = True
        while await self._step(partial(sql.merge, index=index, begin=begin)):
            begin = False
            steps += 1
            self._tell(steps, 0, f"merging {index}")
        if steps:
            self._did.append(f"{index} merged")

    async def _vacuum(self) -> None:
        left = total = await self._step(lambda db: sql.pages(db).free)
        while left:
            self._tell(total - left, total, "giving pages back")
            before, left = left, await self._step(sql.vacuum)
            if left >= before:
                break
        if total > left:
            self._did.append(f"{total - left} pages given back")

    async def _step(self, run: Callable[[apsw.Connection], T]) -> T:
        """One write of its own: what `run` gives."""
        results: list[T] = []

        def write_one(db: apsw.Connection) -> Written:
            results.append(run(db))
            return Written(b"", 0)

        await write(self._store, self._clock, write_one)
        return results[-1]
