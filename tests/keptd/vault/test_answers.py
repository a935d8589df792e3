"""An answer to an agent that waits, and what happens while it is written down."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import anyio
import apsw
import pytest

from kept.wire import Actor
from kept.wire.errors import Conflict, Denied, KeptError, Locked, NotFound, StorageFull
from kept.wire.vault import Confirm, ListRequests, LockVault, OpenEntry, Request, RetrieveSecret, UpdateSecret
from tests.harness import PATIENCE

from .strongbox import Strongbox, cheap, furnish, strongbox

pytestmark = pytest.mark.anyio

AGENT = Actor(client="bot", uid=1000, pid=7, kind="agent")


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Strongbox]:
    """A vault with an entry that no agent may read."""
    with cheap():
        async with strongbox(tmp_path) as box:
            await furnish(box, 1)
            yield box


class Outcome:
    """What came of a call that runs beside the test."""

    def __init__(self) -> None:
        self.given: Any = None
        self.over = anyio.Event()
        self.scope = anyio.CancelScope()

    async def run(self, box: Strongbox, call: Any, *caller: Actor) -> None:
        with self.scope:
            try:
                self.given = await box(call, *caller)
            except KeptError as refusal:
                self.given = refusal
        self.over.set()


class Scene:
    """An agent that waits for a minute at most, and persons who answer it."""

    def __init__(self, box: Strongbox, tasks: Any) -> None:
        self.box = box
        self._tasks = tasks
        self.agent = self.does(RetrieveSecret(id="name 0", wait_seconds=60), AGENT)
        self.asked: Request

    def does(self, call: Any, *caller: Actor) -> Outcome:
        """Begin a call."""
        outcome = Outcome()
        self._tasks.start_soon(outcome.run, self.box, call, *caller)
        return outcome

    async def waits(self) -> None:
        """Until the agent does, and what it asked is written down."""
        await anyio.wait_all_tasks_blocked()
        # This is written after it.
        await self.box(UpdateSecret(id="name 0", tags=("asked for",)))
        await anyio.wait_all_tasks_blocked()
        (self.asked,) = (await self.box(ListRequests())).items

    def heard(self) -> set[str]:
        """The answers that the audit list has."""
        return {action for action, _ in self.box.audited()} & {"confirm", "refuse"}


@contextmanager
def writer_held(box: Strongbox) -> Iterator[None]:
    """Nothing is committed until the end."""
    gate, writer = threading.Event(), box.store.writer
    transact = writer._transact

    def wait(batch: Any) -> Any:
        assert gate.wait(PATIENCE)
        return transact(batch)

    vars(writer)["_transact"] = wait
    try:
        yield
    finally:
        gate.set()
        del vars(writer)["_transact"]


@contextmanager
def disk_full(box: Strongbox) -> Iterator[None]:
    def fail(_batch: Any) -> NoReturn:
        raise apsw.FullError

    vars(box.store.writer)["_transact"] = fail
    try:
        yield
    finally:
        del vars(box.store.writer)["_transact"]


async def test_of_two_who_answer_at_once_one_is_heard(box: Strongbox) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(box, tasks)
        await scene.waits()
        with writer_held(box):
            yes = scene.does(Confirm(id=scene.asked.id, answer="allow"))
            no = scene.does(Confirm(id=scene.asked.id, answer="deny"))
            await anyio.wait_all_tasks_blocked()
    if isinstance(yes.given, Request):
        assert (type(no.given), type(scene.agent.given), scene.heard()) == (Conflict, OpenEntry, {"confirm"})
    else:
        assert (type(yes.given), type(no.given)) == (Conflict, Request)
        assert (type(scene.agent.given), scene.heard()) == (Denied, {"refuse"})


async def test_who_answers_in_time_is_heard_however_long_the_disk_takes(box: Strongbox) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(box, tasks)
        await scene.waits()
        with writer_held(box):
            yes = scene.does(Confirm(id=scene.asked.id, answer="allow"))
            await anyio.wait_all_tasks_blocked()
            box.clock.suspend(61)
            await anyio.wait_all_tasks_blocked()
            late = scene.does(Confirm(id=scene.asked.id, answer="deny"))
            await anyio.wait_all_tasks_blocked()
            assert isinstance(late.given, Conflict)
    assert (type(yes.given), type(scene.agent.given)) == (Request, OpenEntry)


async def test_a_lock_meanwhile_is_told_to_both(box: Strongbox) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(box, tasks)
        await scene.waits()
        with writer_held(box):
            yes = scene.does(Confirm(id=scene.asked.id, answer="allow"))
            await anyio.wait_all_tasks_blocked()
            scene.does(LockVault())
            await anyio.wait_all_tasks_blocked()
    assert (type(yes.given), type(scene.agent.given)) == (Locked, Locked)


async def test_who_answers_an_agent_that_goes_meanwhile_learns_so(box: Strongbox) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(box, tasks)
        await scene.waits()
        with writer_held(box):
            yes = scene.does(Confirm(id=scene.asked.id, answer="allow"))
            await anyio.wait_all_tasks_blocked()
            scene.agent.scope.cancel()
            await anyio.wait_all_tasks_blocked()
    assert isinstance(yes.given, NotFound)


@pytest.mark.parametrize("in_time", [True, False], ids=["in time", "too late"])
async def test_an_answer_that_can_not_be_written_down_is_none(box: Strongbox, *, in_time: bool) -> None:
    async with anyio.create_task_group() as tasks:
        scene = Scene(box, tasks)
        await scene.waits()
        with disk_full(box):
            yes = scene.does(Confirm(id=scene.asked.id, answer="allow"))
            if not in_time:
                await anyio.lowlevel.checkpoint()
                box.clock.suspend(61)
            with anyio.fail_after(PATIENCE):
                await yes.over.wait()
        assert isinstance(yes.given, StorageFull)
        if in_time:
            assert scene.agent.given is None
            scene.does(Confirm(id=scene.asked.id, answer="deny"))
    assert isinstance(scene.agent.given, KeptError)
    assert scene.heard() == ({"refuse"} if in_time else set())
