from __future__ import annotations

import threading

import anyio
import pytest

from keptd.store.completions import Completions
from tests.faulty_vfs import DEADLINE


@pytest.mark.anyio
async def test_what_threads_post_runs_on_the_loop_in_the_order_posted() -> None:
    completions = Completions()
    seen: list[tuple[int, int]] = []
    home = threading.get_ident()
    over = anyio.Event()

    def note(thread: int, number: int) -> None:
        assert threading.get_ident() == home
        seen.append((thread, number))
        if len(seen) == 400:
            over.set()

    def post(thread: int) -> None:
        for number in range(100):
            completions.post(lambda number=number: note(thread, number))  # type: ignore[misc]

    threads = [threading.Thread(target=post, args=(thread,)) for thread in range(4)]
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(completions.deliver)
            for thread in threads:
                thread.start()
            await over.wait()
            tasks.cancel_scope.cancel()
    for posting in range(4):
        assert [number for poster, number in seen if poster == posting] == list(range(100))
    completions.close()


@pytest.mark.anyio
async def test_what_was_posted_before_anybody_listened_is_delivered() -> None:
    completions = Completions()
    heard = anyio.Event()
    completions.post(heard.set)
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(completions.deliver)
            await heard.wait()
            tasks.cancel_scope.cancel()
    completions.close()


def test_what_is_left_in_the_end_can_be_drained() -> None:
    completions = Completions()
    seen: list[int] = []
    for number in range(3):
        completions.post(lambda number=number: seen.append(number))  # type: ignore[misc]
    completions.drain()
    assert seen == [0, 1, 2]
    completions.close()


def test_one_that_fails_keeps_no_other_from_being_run() -> None:
    completions = Completions()
    seen: list[int] = []

    def fail() -> None:
        raise LookupError

    completions.post(fail)
    completions.post(lambda: seen.append(1))
    completions.drain()
    completions.close()
    assert seen == [1]
