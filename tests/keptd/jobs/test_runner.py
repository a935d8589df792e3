"""What a run comes to, and what is known of it afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import apsw
import pytest

from kept.wire.errors import Conflict, KeptError, NotFound, StorageFailed, StorageFull
from kept.wire.job import Run
from keptd.domain import Job, JobCtx, to_nobody
from keptd.jobs import store as runs
from keptd.jobs.ledger import UNSAVED
from tests.rooms import ACTOR, FakeClock

from .office import DAY, JITTER, Chore, Office, office

pytestmark = pytest.mark.anyio


async def test_a_run_is_in_the_history_with_what_it_did(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore) as work:
        await work.rest()
        chore.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work.runner.run_now, "test.chore", ACTOR, to_nobody)
            await work.until("its beginning", lambda: chore.at_work)
            assert work.shown("test.chore").running
            assert await work.history() == []
            work.clock.advance(7.5)
            chore.let_go()
        await work.rest()
        [run] = await work.history("test.chore")
        shown = work.shown("test.chore")

    assert (run.job, run.seconds, run.result, run.summary, run.asked_by) == ("test.chore", 7.5, "ok", "run 1", "tester")
    assert (shown.last_at, shown.last_seconds, shown.last_result) == (run.started_at, 7.5, "ok")
    assert (shown.last_error, shown.failures, shown.running, shown.schedule) == (None, 0, False, "off")
    assert shown.description == "Do test.chore"


async def test_a_job_never_overlaps_itself(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="1m") as work:
        chore.hold()
        work.clock.advance(JITTER)
        await work.until("its beginning", lambda: chore.at_work)
        for _ in range(3):
            work.clock.advance(600)
            with pytest.raises(Conflict):
                await work.runner.run_now("test.chore", ACTOR, to_nobody)
        chore.let_go()
        await work.rest()
        assert chore.runs == 1
        await work.pass_time(59)
        assert chore.runs == 1


async def test_two_who_ask_at_once_get_one_run(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore) as work:
        await work.rest()
        outcomes: list[Run | Conflict] = []

        async def ask() -> None:
            try:
                outcomes.append(await work.runner.run_now("test.chore", ACTOR, to_nobody))
            except Conflict as refusal:
                outcomes.append(refusal)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Run"]


async def test_a_job_that_hangs_times_out_and_the_others_go_on(tmp_path: Path) -> None:
    hung, other = Chore("test.hung", timeout=600), Chore("test.other")
    async with office(tmp_path, hung, other, memory_expire="1m") as work:
        hung.hold()
        work.clock.advance(JITTER)
        await work.until("its beginning", lambda: hung.at_work)
        await work.rest(but="test.hung")
        for runs_by_now in range(1, 6):
            assert other.runs == runs_by_now
            work.clock.advance(66)
            await work.rest(but="test.hung")
        assert work.shown("test.hung").running
        work.clock.advance(600)
        await work.until("its time being up", lambda: work.shown("test.hung").last_result == "timeout")
        await work.rest()
        assert hung.ended == 1
        assert await work.results("test.hung") == ["timeout"]
        assert work.runner.failing() == ("test.hung",)
        assert "600" in (work.shown("test.hung").last_error or "")


async def test_a_thread_that_hangs_has_a_result_in_time_and_no_second_beside_it(tmp_path: Path) -> None:
    gate, began = threading.Event(), []

    async def stuck(_ctx: JobCtx) -> str:
        began.append(1)
        await anyio.to_thread.run_sync(gate.wait, 20)
        return "late"

    job = Chore("test.stuck")
    job.job = Job("test.stuck", "Hang", "memory_expire", 600, stuck)
    async with office(tmp_path, job, memory_expire="1m") as work:
        try:
            work.clock.advance(JITTER)
            await work.until("its beginning", lambda: began)
            work.clock.advance(601)
            await work.until("its time being up", lambda: work.shown("test.stuck").last_result == "timeout")
            for _ in range(3):
                work.clock.advance(DAY)
                # Behind everything that was written for it: the writer keeps the order.
                await work.runner.resume("test.stuck", ACTOR)
            assert work.shown("test.stuck").running
            with pytest.raises(Conflict):
                await work.runner.run_now("test.stuck", ACTOR, to_nobody)
            assert began == [1]
        finally:
            gate.set()
        await work.until("another run", lambda: len(began) > 1)
        await work.rest()
        assert await work.results("test.stuck") == ["ok", "timeout"]


async def test_a_job_that_fails_is_tried_again_later_and_later(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    chore.raises = StorageFull("the disk is full")
    async with office(tmp_path, chore, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        for failures, pause in enumerate((60, 120, 240, 480), start=1):
            assert work.shown("test.chore").failures == failures
            await work.pass_time(pause - 1)
            assert chore.runs == failures
            await work.pass_time(1 + JITTER)
            assert chore.runs == failures + 1
        chore.raises = None
        await work.pass_time(960 + JITTER)
        assert work.shown("test.chore").failures == 0
        runs_by_now = chore.runs
        await work.pass_time(DAY - 1)
        assert chore.runs == runs_by_now
        assert await work.results("test.chore") == ["ok", *["failed"] * 5]
        assert (await work.history())[1].summary == "the disk is full"


async def test_back_off_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    chore.raises = StorageFull("the disk is full")
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        await work.pass_time(60 + JITTER)
        await work.pass_time(120 + JITTER)
    assert chore.runs == 3
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.rest()
        assert work.shown("test.chore").failures == 3
        assert work.runner.failing() == ("test.chore",)
        await work.pass_time(239)
        assert chore.runs == 3
        await work.pass_time(1 + JITTER)
        assert chore.runs == 4


async def test_a_failing_job_degrades_the_component_until_it_does_well(tmp_path: Path) -> None:
    chore, other = Chore("test.chore"), Chore("test.other")
    async with office(tmp_path, chore, other) as work:
        await work.rest()
        start = work.clock.now()
        report = work.runner.report()
        assert (report.name, report.status, report.health, report.since) == ("keptd.jobs", "operational", 100, start)
        work.clock.advance(5)
        chore.raises = NotFound("there is nothing")
        await work.runner.run_now("test.chore", ACTOR, to_nobody)
        report = work.runner.report()
        assert (report.status, report.health, report.since) == ("degraded", 50, start + 5_000_000)
        assert report.metadata == {"jobs": 2, "failing": ["test.chore"], "paused": []}
        chore.raises = None
        await work.rest()
        await work.runner.run_now("test.chore", ACTOR, to_nobody)
        assert work.runner.report().status == "operational"


async def test_a_mistake_in_a_job_ends_nothing_and_its_text_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chore = Chore("test.chore")
    chore.raises = RuntimeError("hunter2")
    async with office(tmp_path, chore) as work:
        await work.rest()
        run = await work.runner.run_now("test.chore", ACTOR, to_nobody)
        assert (run.result, run.summary) == ("failed", "test.chore failed in the daemon")
        chore.raises = None
        await work.rest()
        assert (await work.runner.run_now("test.chore", ACTOR, to_nobody)).result == "ok"


async def test_a_stop_interrupts_what_runs_and_answers_who_waits(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    answers: list[Run] = []
    async with office(tmp_path, chore) as work, anyio.create_task_group() as tasks:
        await work.rest()
        chore.hold()

        async def ask() -> None:
            answers.append(await work.runner.run_now("test.chore", ACTOR, to_nobody))

        tasks.start_soon(ask)
        await work.until("its beginning", lambda: chore.at_work)
        work.runner.stop()
        await work.runner.ended.wait()
        with pytest.raises(Conflict):
            await work.runner.run_now("test.chore", ACTOR, to_nobody)
        assert chore.at_work == 0
        assert await work.results("test.chore") == ["interrupted"]
        assert work.runner.failing() == ()
    assert [run.result for run in answers] == ["interrupted"]


async def test_a_run_that_a_kill_cut_off_is_marked_and_tried_again(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    chore.hold()
    async with office(tmp_path, chore, clock=clock, dies=True, memory_expire="24h") as work:
        work.clock.advance(JITTER)
        await work.until("its beginning", lambda: chore.at_work)
    chore.let_go()
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.rest()
        [run] = await work.history("test.chore")
        assert (run.result, run.summary) == ("interrupted", runs.INTERRUPTED)
        assert work.shown("test.chore").last_result == "interrupted"
        assert work.runner.failing() == ()
        assert chore.runs == 1
        await work.pass_time(60 + JITTER)
        assert await work.results("test.chore") == ["ok", "interrupted"]


async def test_who_stops_waiting_does_not_stop_the_job(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    told: list[int] = []
    async with office(tmp_path, chore) as work:
        await work.rest()
        chore.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work.runner.run_now, "test.chore", ACTOR, lambda done, _total, _text: told.append(done))
            await work.until("its beginning", lambda: chore.at_work)
            chore.context.progress(1, 3, "files")
            tasks.cancel_scope.cancel()
        chore.context.progress(2, 3, "files")
        chore.let_go()
        await work.rest()
        assert await work.results("test.chore") == ["ok"]
        assert told == [1]


async def test_who_waits_hears_how_far_it_is_and_that_it_goes_on(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    told: list[tuple[int, int, str]] = []
    async with office(tmp_path, chore) as work:
        await work.rest()
        chore.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work.runner.run_now, "test.chore", ACTOR, lambda *far: told.append(far))
            await work.until("its beginning", lambda: chore.at_work)
            chore.context.progress(1, 3, "files")
            work.clock.advance(15)
            await work.until("a sign of life", lambda: len(told) == 2)
            chore.let_go()
    assert told[:2] == [(1, 3, "files"), (1, 3, "files")]


async def test_a_paused_job_runs_only_when_asked_also_after_a_restart(tmp_path: Path) -> None:
    clock, chore = FakeClock(), Chore("test.chore")
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(JITTER)
        paused = await work.runner.pause("test.chore", ACTOR)
        assert (paused.paused, paused.next_at) == (True, None)
        await work.pass_time(10 * DAY)
        assert chore.runs == 1
    async with office(tmp_path, chore, clock=clock, memory_expire="24h") as work:
        await work.pass_time(10 * DAY)
        assert chore.runs == 1
        assert (await work.runner.run_now("test.chore", ACTOR, to_nobody)).result == "ok"
        await work.rest()
        await work.pass_time(10 * DAY)
        assert chore.runs == 2
        resumed = await work.runner.resume("test.chore", ACTOR)
        assert not resumed.paused
        await work.rest()
        assert chore.runs == 3
        await work.pass_time(DAY / 2)
        assert chore.runs == 3


async def test_on_a_full_disk_jobs_run_and_their_history_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore, memory_expire="1h") as work:
        await work.rest()
        work.fill_disk(monkeypatch)
        for _ in range(3):
            await work.pass_time(3600 + JITTER)
        assert chore.runs == 3
        assert await work.history() == []
        assert work.shown("test.chore").last_result == "ok"
        with pytest.raises(StorageFull):
            await work.runner.pause("test.chore", ACTOR)
        assert not work.shown("test.chore").paused
        work.clear_disk(monkeypatch)
        await work.pass_time(3600 + JITTER)
        assert [run.summary for run in await work.history("test.chore")] == ["run 4", "run 3", "run 2", "run 1"]


async def test_what_waits_for_room_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chore = Chore("test.chore")
    async with office(tmp_path, chore) as work:
        await work.rest()
        work.fill_disk(monkeypatch)
        for _ in range(UNSAVED + 5):
            await ask(work)
        assert len(work.runner._ledger._unsaved) == UNSAVED
        work.clear_disk(monkeypatch)
        await ask(work)
        history = await work.history("test.chore")
        assert (len(history), history[0].summary) == (UNSAVED, f"run {UNSAVED + 6}")


async def test_the_last_200_runs_of_each_job_are_kept(tmp_path: Path) -> None:
    chore, other = Chore("test.chore"), Chore("test.other", "backup_create")
    async with office(tmp_path, chore, other) as work:
        await work.rest()
        await work.runner.run_now("test.other", ACTOR, to_nobody)
        for _ in range(runs.KEPT + 3):
            await ask(work)
        history = await work.history("test.chore")
        assert [run.summary for run in (history[0], history[-1])] == ["run 203", "run 4"]
        assert (len(history), len(await work.history("test.other"))) == (runs.KEPT, 1)


async def test_a_history_that_can_not_be_read_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    chore = Chore("test.chore")
    for name in ("last", "history", "settle"):
        monkeypatch.setattr(runs, name, damaged)
    async with office(tmp_path, chore, memory_expire="24h") as work:
        work.clock.advance(JITTER)
        await work.until("its run", lambda: chore.runs)
        with pytest.raises(StorageFailed):
            await work.history("test.chore")


async def test_a_long_summary_is_cut(tmp_path: Path) -> None:
    chore = Chore("test.chore")
    chore.raises = KeptError("x" * 5000)
    async with office(tmp_path, chore) as work:
        await work.rest()
        assert len((await work.runner.run_now("test.chore", ACTOR, to_nobody)).summary) == 1000


async def ask(work: Office) -> None:
    await work.runner.run_now("test.chore", ACTOR, to_nobody)
    await work.rest()
