"""The blocking client against a daemon that fails on purpose."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, assert_type

import pytest

import kept
from kept.client import Client
from kept.faults import BadReply, ConnectionLost, NoDaemon, NoReply, OtherProtocol
from kept.patience import STORAGE_TRIES
from kept.wire import Call
from kept.wire.daemon import Ping, Status, Stop
from kept.wire.errors import Busy, KeptError, MethodNotFound, NotFound, StorageFailed, StorageFull, TooLarge
from kept.wire.memory import GetMemory, Memory, SetMemory

from .scripted import CUT, WELCOME, Request, Step, environment, line, once, refusal, result, serving


def client(home: Path, name: str | None = None, **options: Any) -> Client:
    return kept.connect(name, environ=environment(home), **{"start": False, "patience": 5.0, **options})


def test_a_call_returns_its_own_type(tmp_path: Path) -> None:
    with serving(tmp_path), client(tmp_path) as kept_client:
        found = kept_client.call(SetMemory(key="a", value={"b": [1]}))
        assert_type(found, Memory)
        assert isinstance(found, Memory)
        assert kept_client.call(GetMemory(key="a")).value == {"b": [1]}


def loaded_by(program: str, *names: str) -> list[str]:
    """Which of these modules a fresh interpreter has loaded after running a program."""
    script = f"import sys\n{program}\nprint(*[name for name in {names!r} if name in sys.modules])"
    places = {"PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        [sys.executable, "-S", "-c", script], env=places, capture_output=True, check=True, text=True
    ).stdout.split()


def test_importing_kept_loads_nothing_heavy() -> None:
    assert loaded_by("import kept", "msgspec", "anyio", "socket", "typing", "kept.wire") == []


def test_the_blocking_client_loads_neither_anyio_nor_the_starter() -> None:
    loaded = loaded_by("import kept; kept.connect", "kept.client", "anyio", "subprocess", "kept.start", "structlog")
    assert loaded == ["kept.client"]


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        kept.nothing  # noqa: B018


def test_a_refusal_arrives_as_its_class_and_the_connection_stays(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        with pytest.raises(NotFound):
            kept_client.call(GetMemory(key="none"))
        kept_client.call(Ping())
        assert server.connections == 1


def test_a_write_gets_a_key_and_keeps_one_that_it_has(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        kept_client.call(SetMemory(key="a", value=1))
        kept_client.call(SetMemory(key="b", value=2))
        kept_client.call(SetMemory(key="c", value=3, idempotency_key="mine"))
        first, second, third = (request["params"]["idempotency_key"] for request in server.requests)
        assert first != second
        assert first[:16] <= second[:16]
        assert third == "mine"


@pytest.mark.parametrize("steps", [[CUT], [b'{"jsonrpc":"2.0","id":1,"res', CUT]], ids=["no reply", "half a reply"])
@pytest.mark.parametrize("together", [False, True], ids=["call", "batch"])
def test_a_write_cut_off_before_it_was_done_is_repeated_with_its_key(
    tmp_path: Path, steps: list[Step], together: bool
) -> None:
    with serving(tmp_path, once(*steps)) as server, client(tmp_path) as kept_client:
        write = SetMemory(key="a", value=1)
        assert (kept_client.batch([write])[0] if together else kept_client.call(write)).value == 1
        assert server.applied == [1]
        first, second = (request["params"]["idempotency_key"] for request in server.requests)
        assert first == second


def test_a_write_cut_off_after_it_was_done_counts_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cut = iter([True])

        def first(request: Request) -> Iterable[Step] | None:
            return [*list(server.default(request))[:0], CUT] if next(cut, False) else None

        server.first = first
        with client(tmp_path) as kept_client:
            kept_client.call(SetMemory(key="a", value=1))
        assert server.applied == [1]
        assert len(server.requests) == 2


def test_a_daemon_that_was_killed_and_came_back_is_found_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path, "tester") as kept_client:
        kept_client.call(SetMemory(key="a", value=1))
        server.stop()
        server.start()
        assert kept_client.call(GetMemory(key="a")).value == 1
        assert server.methods.count("daemon.hello") == 2


def test_a_call_waits_for_a_daemon_that_is_away(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        kept_client.call(SetMemory(key="a", value=1))
        server.stop()
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(kept_client.call(GetMemory(key="a")).value))
        waiting.start()
        server.start()
        waiting.join(10)
        assert found == [1]


def test_without_a_daemon_and_leave_to_start_one_connecting_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        client(tmp_path, patience=3600)


def test_connecting_waits_for_room_though_not_for_a_daemon(tmp_path: Path) -> None:
    full = once(refusal(None, Busy.code, retry_after_ms=1), CUT, method="daemon.hello")
    with serving(tmp_path, full) as server, client(tmp_path, "tester", start=False):
        assert server.methods == ["daemon.hello", "daemon.hello"]
    always = lambda _: [refusal(None, Busy.code, retry_after_ms=1), CUT]  # noqa: E731
    with serving(tmp_path, always), pytest.raises(Busy):
        client(tmp_path, "tester", start=False, patience=0.05)


def test_a_stale_socket_is_no_daemon(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    with pytest.raises(NoDaemon):
        client(tmp_path)


def test_a_daemon_that_stays_away_ends_the_patience(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path, patience=0.05) as kept_client:
        server.stop()
        with pytest.raises(NoDaemon):
            kept_client.call(GetMemory(key="a"))
        server.start()


def test_a_daemon_that_ends_every_connection_ends_the_patience(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _: [CUT]), client(tmp_path, patience=0.05) as kept_client, pytest.raises(NoDaemon):
        kept_client.call(GetMemory(key="a"))


@pytest.mark.parametrize("together", [False, True], ids=["call", "batch"])
def test_a_fault_says_whether_a_change_had_been_sent_by_then(tmp_path: Path, together: bool) -> None:
    def ask(kept_client: Client, call: Call[Any]) -> bool:
        with pytest.raises(NoDaemon) as caught:
            kept_client.batch([call]) if together else kept_client.call(call)
        return caught.value.may_be_done

    with serving(tmp_path) as server, client(tmp_path, patience=0.05) as kept_client:
        server.stop()
        assert not ask(kept_client, GetMemory(key="a"))
        assert not ask(kept_client, SetMemory(key="a", value=1)), "nobody was there to send it to"
    with serving(tmp_path, lambda _: [CUT]), client(tmp_path, patience=0.05) as kept_client:
        assert not ask(kept_client, GetMemory(key="a")), "to look changes nothing"
        assert ask(kept_client, SetMemory(key="a", value=1))


def test_a_control_call_is_not_repeated_once_it_was_sent(tmp_path: Path) -> None:
    with serving(tmp_path, once(CUT, method="daemon.stop")) as server, client(tmp_path) as kept_client:
        with pytest.raises(ConnectionLost):
            kept_client.call(Stop())
        assert server.methods == ["daemon.stop"]


def test_a_control_call_on_a_connection_that_had_ended_is_sent_on_a_new_one(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        kept_client.call(Ping())
        server.stop()
        server.start()
        with pytest.raises(MethodNotFound):
            kept_client.call(Stop())


@pytest.mark.parametrize("together", [False, True], ids=["call", "batch"])
def test_a_busy_daemon_is_asked_again(tmp_path: Path, together: bool) -> None:
    times = iter(range(3))

    def busy(request: Request) -> Iterable[Step] | None:
        return [refusal(request, Busy.code, retry_after_ms=1)] if next(times, None) is not None else None

    with serving(tmp_path, busy) as server, client(tmp_path) as kept_client:
        write = SetMemory(key="a", value=1)
        assert (kept_client.batch([write])[0] if together else kept_client.call(write)).value == 1
        assert (server.connections, len(server.requests), server.applied) == (1, 4, [1])


def test_a_daemon_that_stays_busy_is_reported_busy(tmp_path: Path) -> None:
    busy = lambda request: [refusal(request, Busy.code, retry_after_ms=60_000)]  # noqa: E731
    with serving(tmp_path, busy) as server, client(tmp_path) as kept_client:
        with pytest.raises(Busy):
            kept_client.call(SetMemory(key="a", value=1))
        assert len(server.requests) == 1


def test_a_connection_that_is_turned_away_as_one_too_many_is_tried_again(tmp_path: Path) -> None:
    full = once(refusal(None, Busy.code, retry_after_ms=1), CUT, method="daemon.hello")
    with serving(tmp_path, full) as server, client(tmp_path, "tester", start=True) as kept_client:
        kept_client.call(SetMemory(key="a", value=1))
        assert server.connections == 2


def test_a_failing_disk_is_tried_a_few_times_with_the_same_key(tmp_path: Path) -> None:
    failing = lambda request: [refusal(request, StorageFailed.code)]  # noqa: E731
    with serving(tmp_path, failing) as server, client(tmp_path) as kept_client:
        with pytest.raises(StorageFailed):
            kept_client.call(SetMemory(key="a", value=1))
        assert len(server.requests) == STORAGE_TRIES
        assert len({request["params"]["idempotency_key"] for request in server.requests}) == 1


def test_a_full_disk_is_reported_at_once(tmp_path: Path) -> None:
    full = lambda request: [refusal(request, StorageFull.code)]  # noqa: E731
    with serving(tmp_path, full) as server, client(tmp_path) as kept_client:
        with pytest.raises(StorageFull):
            kept_client.call(SetMemory(key="a", value=1))
        assert len(server.requests) == 1


def test_a_batch_gives_results_in_the_order_of_its_calls(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        found = kept_client.batch(SetMemory(key=str(number), value=number) for number in range(1000))
        assert [memory.value for memory in found] == list(range(1000))
        assert server.applied == list(range(1000))


def test_replies_in_another_order_find_their_calls(tmp_path: Path) -> None:
    held: list[bytes] = []

    def reversed_pairs(request: Request) -> Iterable[Step]:
        held.append(result(request, {"time": f"20{request['id']:02d}-01-01T00:00:00Z"}))
        return [held.pop() + held.pop()] if len(held) == 2 else []

    with serving(tmp_path, reversed_pairs), client(tmp_path) as kept_client:
        years = [pong.time.year for pong in kept_client.batch([Ping()] * 4)]
        assert years == [2001, 2002, 2003, 2004]


def test_a_batch_cut_off_in_the_middle_is_finished_on_the_next_connection(tmp_path: Path) -> None:
    cut = iter([None] * 300 + [True])

    def first(request: Request) -> Iterable[Step] | None:
        return [CUT] if next(cut, None) else None

    with serving(tmp_path, first) as server, client(tmp_path) as kept_client:
        kept_client.batch([SetMemory(key="k", value=number) for number in range(500)])
        assert server.applied == list(range(500))


def test_a_batch_with_a_refusal_raises_it_after_all_were_carried_out_or_returns_it(tmp_path: Path) -> None:
    calls = [GetMemory(key="none"), SetMemory(key="a", value=1)]
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        with pytest.raises(NotFound):
            kept_client.batch(calls)
        assert server.applied == [1]
        refused, written = kept_client.batch(calls, return_errors=True)
        assert isinstance(refused, NotFound)
        assert written.value == 1


def test_large_requests_and_large_replies_at_once_do_not_block_each_other(tmp_path: Path) -> None:
    large = "x" * 500_000
    with serving(tmp_path), client(tmp_path) as kept_client:
        found = kept_client.batch([SetMemory(key=str(number), value=large) for number in range(20)])
        assert {len(memory.value) for memory in found} == {500_000}


def test_a_request_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    huge = SetMemory(key="a", value="x" * (16 * 1024 * 1024))
    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        with pytest.raises(TooLarge):
            kept_client.call(huge)
        refused, done = kept_client.batch([huge, SetMemory(key="b", value=1)], return_errors=True)
        assert isinstance(refused, TooLarge)
        assert done.value == 1
        assert len(server.requests) == 1


def test_a_request_that_is_too_large_for_the_daemon_is_the_longest_of_a_batch(tmp_path: Path) -> None:
    def limited(request: Request) -> Iterable[Step] | None:
        return [refusal(None, TooLarge.code, limit=1000)] if len(str(request)) > 1000 else None

    with serving(tmp_path, limited), client(tmp_path) as kept_client:
        small, large = SetMemory(key="a", value=1), SetMemory(key="b", value="x" * 2000)
        found = kept_client.batch([small, large, small], return_errors=True)
        assert [type(one) for one in found] == [Memory, TooLarge, Memory]
        with pytest.raises(TooLarge):
            kept_client.call(large)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b'{"jsonrpc":"2.0","id":1,"result":{"secret":"hunter2"}}\n',
        b'{"jsonrpc":"2.0","id":1}\n',
        b'{"jsonrpc":"2.0","id":77,"result":null}\n',
        b'{"jsonrpc":"2.0","id":"1","result":null}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b"[]\n",
    ],
)
@pytest.mark.parametrize("together", [False, True], ids=["call", "batch"])
def test_what_is_no_reply_is_a_clear_fault_without_its_text(tmp_path: Path, reply: bytes, together: bool) -> None:
    with serving(tmp_path, lambda _: [reply]), client(tmp_path) as kept_client:
        with pytest.raises(BadReply) as fault:
            kept_client.batch([Ping()]) if together else kept_client.call(GetMemory(key="a"))
        assert "hunter2" not in str(fault.value)


def test_after_a_bad_reply_the_next_call_starts_afresh(tmp_path: Path) -> None:
    with serving(tmp_path, once(b'{"id":1,"result":0}\n', method="memory.get")), client(tmp_path) as kept_client:
        with pytest.raises(BadReply):
            kept_client.call(GetMemory(key="a"))
        assert kept_client.call(SetMemory(key="a", value=1)).value == 1


def test_an_endless_reply_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kept.link.REPLY_BYTES", 100_000)
    for together in (False, True):
        with serving(tmp_path, lambda _: [b"x" * 200_000]), client(tmp_path) as one, pytest.raises(BadReply):
            one.batch([Ping()]) if together else one.call(GetMemory(key="a"))


def test_notifications_between_replies_are_passed_over(tmp_path: Path) -> None:
    progress = line({"method": "$/progress", "params": {"result": 1}})

    def noisy(request: Request) -> Iterable[Step]:
        pong = result(request, {"time": "2026-01-01T00:00:00Z"})
        return [progress + pong[:10], pong[10:]]

    with serving(tmp_path, noisy), client(tmp_path) as kept_client:
        assert kept_client.call(Ping()).time.year == 2026
        assert len(kept_client.batch([Ping()] * 3)) == 3


@pytest.mark.parametrize("together", [False, True], ids=["call", "batch"])
def test_a_daemon_that_does_not_answer_is_given_up_and_not_asked_again(tmp_path: Path, together: bool) -> None:
    with serving(tmp_path, lambda _: []) as server, client(tmp_path, reply_seconds=0.05) as kept_client:
        with pytest.raises(NoReply):
            kept_client.batch([Ping()]) if together else kept_client.call(SetMemory(key="a", value=1))
        assert len(server.requests) == 1


def speaking(protocol: int) -> Callable[[Request], Iterable[Step] | None]:
    return once(line({"id": 1, "result": {**WELCOME, "protocol": protocol}}), method="daemon.hello")


def test_a_daemon_of_an_older_protocol_is_refused_by_name(tmp_path: Path) -> None:
    with serving(tmp_path, speaking(0)), pytest.raises(OtherProtocol, match="protocol 0"):
        client(tmp_path, "tester")


def test_a_daemon_of_a_newer_protocol_is_served(tmp_path: Path) -> None:
    with serving(tmp_path, speaking(2)), client(tmp_path, "tester") as kept_client:
        kept_client.call(Ping())


def test_hello_carries_the_names(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path, "editor", version="3", project="p-1"):
        assert server.requests[0]["params"] == {"client": "editor", "version": "3", "project": "p-1"}


def test_a_version_without_a_name_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        kept.connect(version="1")


def test_threads_share_one_client(tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(tmp_path) as kept_client:

        def write(thread: int) -> None:
            for number in range(20):
                assert kept_client.call(SetMemory(key="k", value=[thread, number])).value == [thread, number]

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.applied) == 160
        assert server.connections == 1


def test_an_interrupted_call_does_not_leave_its_reply_to_the_next(tmp_path: Path) -> None:
    class Interruption(BaseException):
        pass

    def interrupt(_: int) -> bytes:
        raise Interruption

    with serving(tmp_path) as server, client(tmp_path) as kept_client:
        kept_client.call(SetMemory(key="a", value=1))
        assert kept_client._link is not None
        kept_client._link._recv = interrupt  # type: ignore[assignment]
        with pytest.raises(Interruption):
            kept_client.call(GetMemory(key="none"))
        assert kept_client.call(GetMemory(key="a")).value == 1
        assert server.connections == 2


def test_a_closed_client_opens_again(tmp_path: Path) -> None:
    with serving(tmp_path), client(tmp_path) as kept_client:
        kept_client.close()
        kept_client.close()
        kept_client.call(Ping())


def test_an_unknown_method_of_an_older_daemon_is_a_refusal(tmp_path: Path) -> None:
    with serving(tmp_path), client(tmp_path) as kept_client, pytest.raises(KeptError) as refused:
        kept_client.call(Status())
    assert refused.value.code == -32601
