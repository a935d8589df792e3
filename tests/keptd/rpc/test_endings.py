"""How a connection ends: by either side, in the middle of something, and what still gets done."""

from __future__ import annotations

import socket

import anyio
import pytest

from keptd import supervisor
from keptd.context.mirror import Mirror
from keptd.rpc.peer import HIGH_WATER
from tests.harness import Daemon, Peer, Process, notification, patience, request

pytestmark = pytest.mark.anyio


async def test_a_client_that_has_nothing_more_to_ask_still_gets_its_replies(daemon: Daemon, peer: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(
            request(1, "memory.set", key="k", value=1),
            request(2, "memory.search", query="words"),
            request(3, "daemon.ping"),
        )
        await peer.end_sending()
        early = {(await peer.receive())["id"] for _ in range(2)}
    assert early == {2, 3}
    assert (await peer.receive())["id"] == 1
    await peer.ended()


async def test_replies_that_fill_the_socket_still_arrive_after_the_half_close(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="big", value="x" * 900_000)
    async with anyio.create_task_group() as tasks:
        await peer.send(*(request(number, "memory.get", key="big") for number in range(20)))
        tasks.start_soon(peer.end_sending)
        assert [(await peer.receive())["id"] for _ in range(20)] == list(range(20))
    await peer.ended()


async def test_what_a_client_wrote_before_it_vanished_is_kept(daemon: Daemon, peer: Peer, other: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="a", value=1), notification("memory.set", key="b", value=2))
        await daemon.until("both wait", lambda: daemon.served()[0].in_flight == 2)
        await peer.close()
        await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    await daemon.until("both are written", lambda: daemon.supervisor._bus.seq == 2)
    assert {item["key"] for item in (await other.result("memory.list"))["items"]} == {"a", "b"}


async def test_a_client_that_vanished_is_let_go_while_its_read_still_runs(
    daemon: Daemon, peer: Peer, other: Peer
) -> None:
    with daemon.clock.holding("reader"):
        await peer.send(request(1, "memory.search", query="words"))
        await daemon.clock.reached()
        (job,) = daemon.served()[0].pending.values()
        await peer.close()
        await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
        assert job.cancelled  # type: ignore[attr-defined]
        await other.is_served()


async def test_a_client_that_vanishes_with_unread_replies_is_let_go(daemon: Daemon, peer: Peer, other: Peer) -> None:
    await peer.result("memory.set", key="big", value="x" * 900_000)
    await peer.send(*(request(number, "memory.get", key="big") for number in range(20)))
    await daemon.until("the outbox fills", lambda: len(daemon.served()[0].outbox) > HIGH_WATER)
    await peer.close()
    await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    await other.is_served()


async def test_stop_answers_what_is_in_flight_and_then_ends_every_connection(
    daemon: Daemon, peer: Peer, other: Peer
) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="k", value=1), request(2, "memory.set", key="k", value=2))
        await daemon.until("both wait", lambda: daemon.served()[0].in_flight == 2)
        assert "pid" in await other.result("daemon.stop")
        await other.ended()
    assert [(await peer.receive())["result"]["value"] for _ in range(2)] == [1, 2]
    await peer.ended()


async def test_after_a_stop_nobody_is_let_in_and_the_socket_is_gone(daemon: Daemon, peer: Peer) -> None:
    await peer.result("daemon.stop")
    await peer.ended()
    with patience("the socket goes"):
        while True:
            try:
                stream = await anyio.connect_unix(daemon.paths.socket)
            except (FileNotFoundError, ConnectionRefusedError):
                return
            await anyio.aclose_forcefully(stream)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["process"])
def test_a_process_that_is_told_to_stop_ends_well_though_a_client_does_not_read(home, anyio_backend) -> None:  # type: ignore[no-untyped-def]
    with Process(home) as process:
        connection = process.connect()
        connection.sendall(request(1, "memory.set", key="k", value="kept") + b"\n" + request(2, "daemon.stop") + b"\n")
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
        connection.close()
        assert process.popen.wait(20) == 0
        assert said.count(b'"result"') == 2
    with Process(home) as process, process.connect() as connection, connection.makefile("rb") as lines:
        connection.sendall(request(1, "memory.get", key="k") + b"\n")
        assert b'"kept"' in lines.readline()
        connection.shutdown(socket.SHUT_RDWR)


async def test_who_comes_while_the_daemon_stops_is_turned_away_at_once(daemon: Daemon, peer: Peer, other: Peer) -> None:
    with daemon.clock.holding("writer"):
        await peer.send(request(1, "memory.set", key="k", value=1))
        await daemon.until("it waits", lambda: daemon.served()[0].in_flight == 1)
        await other.result("daemon.stop")
        await other.ended()
        late = await daemon.connect()
        assert await late.error() == (None, -32007, "busy")
        await late.ended()
    assert (await peer.receive())["id"] == 1
    await peer.ended()


async def test_a_stop_waits_for_clients_and_for_the_mirror_no_longer_than_it_may(
    daemon: Daemon, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = anyio.Event()

    async def hang(_: Mirror) -> None:
        asked.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(Mirror, "catch_up", hang)
    monkeypatch.setattr(supervisor, "DRAIN_SECONDS", 0)
    monkeypatch.setattr(supervisor, "MIRROR_SECONDS", 0.01)
    await peer.result("memory.set", key="big", value="x" * 900_000)
    await peer.send(*(request(number, "memory.get", key="big") for number in range(20)))
    await daemon.until("the outbox fills", lambda: len(daemon.served()[0].outbox) > HIGH_WATER)
    await other.result("daemon.stop")
    with patience("the mirror is asked"):
        await asked.wait()
    # By then nobody can come to a daemon that will not answer.
    with pytest.raises(FileNotFoundError):
        await anyio.connect_unix(daemon.paths.socket)
    await daemon.until("it has ended", lambda: '"stopped"' in daemon.log())
