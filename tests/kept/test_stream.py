"""The asynchronous client, on asyncio and trio, against a daemon that fails on purpose."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import kept
from kept.faults import BadReply, ConnectionLost, NoDaemon, NoReply, OtherProtocol
from kept.patience import Patience
from kept.stream import AsyncClient
from kept.trust import Untrusted
from kept.wire.daemon import Ping, Stop
from kept.wire.errors import Busy, NotFound, StorageFailed, TooLarge
from kept.wire.event import Event
from kept.wire.memory import GetMemory, SetMemory

from .scripted import CUT, PONG, WELCOME, Request, Step, change, environment, line, once, refusal, result, serving

pytestmark = pytest.mark.anyio


def client(home: Path, name: str | None = None, **options: Any) -> AsyncClient:
    return kept.connect_async(name, environ=environment(home), **{"start": False, "patience": 5.0, **options})


async def write(one: AsyncClient, value: Any) -> None:
    assert (await one.call(SetMemory(key="k", value=value))).value == value


async def test_calls_return_results_and_raise_refusals_as_they_are(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with client(tmp_path, "tester") as one:
            await write(one, 1)
            assert (await one.call(GetMemory(key="k"))).value == 1
        with pytest.raises(NotFound):
            async with client(tmp_path) as one:
                await one.call(GetMemory(key="none"))
        assert server.methods == ["daemon.hello", "memory.set", "memory.get", "memory.get"]


async def test_calls_at_the_same_time_share_one_connection_and_find_their_replies(tmp_path: Path) -> None:
    held: list[bytes] = []

    def reversed_pairs(request: Request) -> Iterable[Step]:
        held.append(result(request, {"time": f"20{request['id']:02d}-01-01T00:00:00Z"}))
        return [held.pop() + held.pop()] if len(held) == 2 else []

    years: list[int] = []

    async def ask(one: AsyncClient) -> None:
        years.append((await one.call(Ping())).time.year)

    with serving(tmp_path, reversed_pairs) as server:
        async with client(tmp_path) as one, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask, one)
        assert sorted(years) == list(range(2001, 2021))
        assert server.connections == 1


async def test_more_calls_than_the_window_all_get_through(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with client(tmp_path) as one, anyio.create_task_group() as tasks:
            for number in range(500):
                tasks.start_soon(write, one, number)
        assert sorted(server.applied) == list(range(500))


@pytest.mark.parametrize("steps", [[CUT], [b'{"jsonrpc":"2.0","id":1,"res', CUT]], ids=["no reply", "half a reply"])
async def test_a_write_cut_off_is_repeated_with_its_key(tmp_path: Path, steps: list[Step]) -> None:
    with serving(tmp_path, once(*steps)) as server:
        async with client(tmp_path) as one:
            await write(one, 1)
        assert server.applied == [1]
        first, second = (request["params"]["idempotency_key"] for request in server.requests)
        assert first == second


async def test_many_writes_cut_off_together_count_once_each(tmp_path: Path) -> None:
    cuts = iter([None] * 50 + [True] + [None] * 60 + [True])

    with serving(tmp_path) as server:

        def first(request: Request) -> Iterable[Step] | None:
            if next(cuts, None):
                list(server.default(request))
                return [CUT]
            return None

        server.first = first
        async with client(tmp_path) as one, anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(write, one, number)
        assert sorted(server.applied) == list(range(200))
        assert server.connections == 3


async def test_a_call_waits_for_a_daemon_that_is_away(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with client(tmp_path) as one:
            await write(one, 1)
            server.stop()
            starting = threading.Timer(0, server.start)
            starting.start()
            await write(one, 2)
            starting.join()
        assert server.applied == [1, 2]


async def test_without_a_daemon_and_leave_to_start_one_connecting_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        async with client(tmp_path, patience=3600):
            pass


async def test_a_daemon_that_ends_every_connection_ends_the_patience(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _: [CUT]), pytest.raises(NoDaemon):
        async with client(tmp_path, patience=0.05) as one:
            await one.call(GetMemory(key="a"))


async def test_a_control_call_is_not_repeated_once_it_was_sent(tmp_path: Path) -> None:
    with serving(tmp_path, once(CUT, method="daemon.stop")) as server:
        with pytest.raises(ConnectionLost):
            async with client(tmp_path) as one:
                await one.call(Stop())
        assert server.methods == ["daemon.stop"]


async def test_a_busy_daemon_is_asked_again_and_a_failing_disk_a_few_times(tmp_path: Path) -> None:
    with serving(tmp_path, once(refusal({"id": 1}, Busy.code, retry_after_ms=1))) as server:
        async with client(tmp_path) as one:
            await write(one, 1)
        assert len(server.requests) == 2
    with serving(tmp_path, lambda request: [refusal(request, StorageFailed.code)]) as server:
        with pytest.raises(StorageFailed):
            async with client(tmp_path) as one:
                await write(one, 1)
        assert len(server.requests) == 4


async def test_a_cancelled_call_is_cancelled_at_the_daemon_and_its_late_reply_is_dropped(tmp_path: Path) -> None:
    late: list[bytes] = []

    def slow(request: Request) -> Iterable[Step] | None:
        if request["method"] == "daemon.ping" and not late:
            late.append(result(request, PONG))
            return []
        return [late[0]] if request["method"] == "$/cancelRequest" else None

    with serving(tmp_path, slow) as server:
        async with client(tmp_path) as one:
            with anyio.move_on_after(0.05):
                await one.call(Ping())
            await one.call(Ping())
            assert server.methods == ["daemon.ping", "$/cancelRequest", "daemon.ping"]
            assert server.requests[1]["params"] == {"id": server.requests[0]["id"]}
            assert server.connections == 1


async def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _: []), pytest.raises(NoReply):
        async with client(tmp_path, reply_seconds=0.02) as one:
            await one.call(GetMemory(key="a"))


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400\r\n", b'{"jsonrpc":"2.0","id":1,"result":{}}\n', b'{"jsonrpc":"2.0","id":1}\n', b"\xff\n"]
)
async def test_what_is_no_reply_is_a_clear_fault(tmp_path: Path, reply: bytes) -> None:
    with serving(tmp_path, lambda _: [reply]), pytest.raises(BadReply):
        async with client(tmp_path) as one:
            await one.call(Ping())


async def test_a_request_that_is_too_large_harms_no_other(tmp_path: Path) -> None:
    def limited(request: Request) -> Iterable[Step] | None:
        return [refusal(None, TooLarge.code)] if len(str(request)) > 1000 else None

    with serving(tmp_path, limited):
        async with client(tmp_path) as one:
            for size in (2000, 17_000_000):
                with pytest.raises(TooLarge):
                    await one.call(SetMemory(key="a", value="x" * size))
            await write(one, 1)


async def test_another_protocol_and_an_untrusted_socket_are_refused(tmp_path: Path) -> None:
    other = once(line({"id": 1, "result": {**WELCOME, "protocol": 0}}), method="daemon.hello")
    with serving(tmp_path, other) as server:
        with pytest.raises(OtherProtocol):
            async with client(tmp_path, "tester"):
                pass
        server.path.parent.chmod(0o777)
        with pytest.raises(Untrusted):
            async with client(tmp_path):
                pass


@pytest.mark.parametrize(
    "steps", [[CUT], [refusal(None, Busy.code, retry_after_ms=1), CUT]], ids=["cut", "one too many"]
)
async def test_a_connection_that_ends_during_the_hello_is_made_again(tmp_path: Path, steps: list[Step]) -> None:
    with serving(tmp_path, once(*steps, method="daemon.hello")) as server:
        async with client(tmp_path, "tester", start=True) as one:
            await write(one, 1)
        assert server.methods == ["daemon.hello", "daemon.hello", "memory.set"]


async def test_connecting_waits_for_room_though_not_for_a_daemon(tmp_path: Path) -> None:
    full = once(refusal(None, Busy.code, retry_after_ms=1), CUT, method="daemon.hello")
    with serving(tmp_path, full) as server:
        async with client(tmp_path, "tester", start=False):
            assert server.methods == ["daemon.hello", "daemon.hello"]


async def test_a_client_out_of_its_context_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        await client(tmp_path).call(Ping())


async def test_a_subscription_is_resumed_without_a_gap_while_calls_go_on(tmp_path: Path) -> None:
    since: list[int] = []

    def log(request: Request) -> Iterable[Step] | None:
        if request["method"] != "event.subscribe":
            return None
        since.append(request["params"]["since"])
        sent = [change(seq) for seq in range(since[-1] + 1, since[-1] + 4)]
        return [result(request, {"id": "s", "seq": 0}), *sent, CUT]

    found: list[int] = []
    with serving(tmp_path, log):
        async with client(tmp_path) as one, one.subscribe(["memory"], since=0) as changes:
            async for one_change in changes:
                assert isinstance(one_change, Event)
                found.append(one_change.change.seq)
                await write(one, found[-1])
                if found[-1] == 10:
                    break
            assert changes.seq >= 10
    assert found == list(range(1, 11))
    assert since[:4] == [0, 3, 6, 9]


async def test_closing_a_subscription_ends_its_iteration(tmp_path: Path) -> None:
    quiet = lambda request: [result(request, {"id": "s", "seq": 0}), change(1)]  # noqa: E731
    with serving(tmp_path, quiet):
        async with client(tmp_path) as one, one.subscribe(since=0) as changes:
            seen = 0
            async for _ in changes:
                seen += 1
                await changes.close()
            assert seen == 1


async def test_a_subscription_that_is_turned_away_as_one_too_many_is_tried_again(tmp_path: Path) -> None:
    full = [refusal(None, Busy.code, retry_after_ms=1), CUT]
    times: Iterator[Iterable[Step]] = iter([full, [refusal({"id": 0}, Busy.code, retry_after_ms=1)]])
    log = lambda request: next(times, [result(request, {"id": "s", "seq": 0}), change(1)])  # noqa: E731
    with serving(tmp_path, log) as server:
        async with client(tmp_path) as one, one.subscribe(since=0) as changes:
            await anext(changes)
        assert len(server.requests) == 3


async def test_a_subscription_that_stays_turned_away_says_so(tmp_path: Path) -> None:
    log = lambda request: [refusal(request, Busy.code, retry_after_ms=60_000)]  # noqa: E731
    with serving(tmp_path, log), pytest.raises(Busy):
        async with client(tmp_path) as one, one.subscribe(since=0):
            pass


async def test_a_subscription_closed_while_it_resumes_ends_and_leaves_no_connection(tmp_path: Path) -> None:
    begun = once(result({"id": 0}, {"id": "s", "seq": 0}), CUT, method="event.subscribe")
    with serving(tmp_path, begun):
        async with client(tmp_path) as one, one.subscribe(since=0) as changes:
            connect = one.connect
            opened: list[anyio.abc.UNIXSocketStream] = []

            async def closed_meanwhile(patience: Patience) -> anyio.abc.UNIXSocketStream:
                opened.append(await connect(patience))
                with anyio.CancelScope(shield=True):
                    await changes.close()
                return opened[-1]

            one.connect = closed_meanwhile  # type: ignore[method-assign]
            assert [each async for each in changes] == []
            with pytest.raises(anyio.ClosedResourceError):
                await opened.pop().receive()
            assert opened == []


async def test_a_subscription_closed_while_the_daemon_is_away_ends_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, lambda request: [result(request, {"id": "s", "seq": 0}), CUT]) as server:
        async with client(tmp_path, patience=3600) as one, one.subscribe(since=0) as changes:
            server.stop()

            async def read() -> None:
                assert [each async for each in changes] == []

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    await anyio.wait_all_tasks_blocked()
                    await changes.close()
        server.start()
