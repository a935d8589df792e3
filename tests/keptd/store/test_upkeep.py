"""The lock of work on the whole: one at a time, in turn, and its holder's own tasks are within it."""

from __future__ import annotations

import anyio
import pytest

from kept.wire.errors import Conflict
from keptd.store.upkeep import Upkeep
from tests.harness import patience

pytestmark = pytest.mark.anyio


async def settled() -> None:
    """Let every task come to its waiting."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


class Holder:
    """A task of somebody else's, which holds the lock until it is let go."""

    def __init__(self, upkeep: Upkeep) -> None:
        self.has = anyio.Event()
        self.go = anyio.Event()
        self.scope = anyio.CancelScope()
        self._upkeep = upkeep

    async def run(self) -> None:
        with self.scope:
            async with self._upkeep.hold():
                self.has.set()
                await self.go.wait()


async def test_one_waits_for_another(anyio_backend: str) -> None:
    upkeep = Upkeep()
    first, second = Holder(upkeep), Holder(upkeep)
    with patience("both"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            await first.has.wait()
            tasks.start_soon(second.run)
            await settled()
            assert upkeep.locked()
            assert not second.has.is_set()
            first.go.set()
            await second.has.wait()
            second.go.set()
    assert not upkeep.locked()


async def test_who_will_not_wait_is_refused_and_nothing_is_held(anyio_backend: str) -> None:
    upkeep = Upkeep()
    holder = Holder(upkeep)
    with patience("the refusal"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(holder.run)
            await holder.has.wait()
            with pytest.raises(Conflict, match="other work on all that is kept"):
                async with upkeep.hold_now():
                    pytest.fail("it was let in")
            holder.go.set()
    async with upkeep.hold_now():
        assert upkeep.locked()
    assert not upkeep.locked()


async def test_its_holder_is_let_in_again_however_it_asks(anyio_backend: str) -> None:
    upkeep = Upkeep()
    with patience("all within"):
        async with upkeep.hold():
            async with upkeep.hold(), upkeep.hold_now():
                assert upkeep.locked()
            assert upkeep.locked()
        assert not upkeep.locked()
        async with upkeep.hold_now(), upkeep.hold():
            assert upkeep.locked()
    assert not upkeep.locked()


async def test_tasks_that_its_holder_starts_are_within_it(anyio_backend: str) -> None:
    upkeep = Upkeep()
    entered: list[str] = []

    async def within(name: str) -> None:
        async with upkeep.hold_now():
            entered.append(name)

    with patience("the task"):
        async with upkeep.hold(), anyio.create_task_group() as tasks:
            tasks.start_soon(within, "task")
            await settled()
            assert entered == ["task"]
            assert upkeep.locked()


async def test_a_task_that_was_there_before_is_not_within_it(anyio_backend: str) -> None:
    upkeep = Upkeep()
    begin, refused = anyio.Event(), anyio.Event()

    async def other() -> None:
        await begin.wait()
        with pytest.raises(Conflict):
            async with upkeep.hold_now():
                pytest.fail("it was let in")
        refused.set()

    with patience("the other"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            async with upkeep.hold():
                begin.set()
                await refused.wait()


async def test_a_task_that_outlives_its_holder_is_within_it_no_more(anyio_backend: str) -> None:
    """As a backup does that an import asked for, where the import was cancelled."""
    upkeep = Upkeep()
    over, refused = anyio.Event(), anyio.Event()

    async def left() -> None:
        await over.wait()
        with pytest.raises(Conflict):
            async with upkeep.hold_now():
                pytest.fail("it was let in")
        refused.set()

    with patience("the task that was left"):
        async with anyio.create_task_group() as tasks:
            async with upkeep.hold():
                tasks.start_soon(left)
            other = Holder(upkeep)
            tasks.start_soon(other.run)
            await other.has.wait()
            over.set()
            await refused.wait()
            other.go.set()


async def test_another_stores_lock_is_another_lock(anyio_backend: str) -> None:
    one, other = Upkeep(), Upkeep()
    async with one.hold(), other.hold_now():
        assert one.locked()
        assert other.locked()


async def test_who_gives_up_while_waiting_takes_nothing_with_them(anyio_backend: str) -> None:
    upkeep = Upkeep()
    first, second, third = Holder(upkeep), Holder(upkeep), Holder(upkeep)
    with patience("the third"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.run)
            await first.has.wait()
            tasks.start_soon(second.run)
            await settled()
            tasks.start_soon(third.run)
            await settled()
            second.scope.cancel()
            await settled()
            first.go.set()
            await third.has.wait()
            assert not second.has.is_set()
            third.go.set()
    assert not upkeep.locked()


async def test_it_is_let_go_where_the_work_fails_or_is_cancelled(anyio_backend: str) -> None:
    upkeep = Upkeep()
    with pytest.raises(LookupError):
        async with upkeep.hold():
            raise LookupError
    assert not upkeep.locked()
    holder = Holder(upkeep)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await holder.has.wait()
        holder.scope.cancel()
    assert not upkeep.locked()
    # Neither is who held it taken for its holder any more.
    with patience("the next"):
        async with anyio.create_task_group() as tasks:
            again = Holder(upkeep)
            tasks.start_soon(again.run)
            await again.has.wait()
            with pytest.raises(Conflict):
                async with upkeep.hold_now():
                    pytest.fail("it was let in")
            again.go.set()
