"""What a room has registered for the end of a connection: called once, on the loop, whatever fails."""

from __future__ import annotations

import anyio
import pytest

from kept.wire.errors import StorageFailed
from keptd.rpc import endings
from keptd.rpc.endings import Endings
from keptd.store.background import write
from keptd.store.writer import Written
from tests.harness import Daemon, Peer, request

pytestmark = pytest.mark.anyio


async def test_each_is_called_once_when_the_client_goes_and_may_write(daemon: Daemon, peer: Peer, other: Peer) -> None:
    store, clock = daemon.supervisor._store, daemon.supervisor._clock
    ends: list[str] = []

    async def end(name: str) -> None:
        await write(store, clock, lambda _db: Written(b"", 0))
        ends.append(name)

    served = daemon.served()[0]
    served.endings.add("one", lambda: end("one"))
    served.endings.add("one", lambda: end("one again"))
    served.aside().endings.add("two", lambda: end("two"))
    await peer.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 1)
    assert sorted(ends) == ["one", "two"]
    await served.endings.run()
    assert len(ends) == 2


async def test_one_that_fails_keeps_no_other_and_nobody_else_from_anything(
    daemon: Daemon, peer: Peer, other: Peer
) -> None:
    daemon.expected.add("handler failed")
    ends: list[str] = []

    async def refused() -> None:
        raise StorageFailed("no disk")

    async def mistaken() -> None:
        raise ZeroDivisionError

    async def fine() -> None:
        ends.append("fine")

    for name, ending in (("refused", refused), ("mistaken", mistaken), ("fine", fine)):
        daemon.served()[0].endings.add(name, ending)
    await peer.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 1)
    assert ends == ["fine"]
    assert "ZeroDivisionError" in daemon.log()
    await other.is_served()


async def test_a_cut_off_does_not_cancel_it_and_it_is_over_before_the_store_closes(
    daemon: Daemon, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keptd.supervisor.DRAIN_SECONDS", 0)
    store, clock = daemon.supervisor._store, daemon.supervisor._clock
    ends: list[int] = []

    async def end() -> None:
        await anyio.lowlevel.checkpoint()
        await write(store, clock, lambda _db: Written(b"", 0))
        ends.append(store.writer.stats.commits)

    daemon.served()[0].endings.add("one", end)
    await peer.result("memory.set", key="big", value="x" * 900_000)
    await peer.send(*(request(number, "memory.get", key="big") for number in range(20)))
    await daemon.until("the outbox fills", lambda: len(daemon.served()[0].outbox) > 1_000_000)
    await other.result("daemon.stop")
    await daemon.until("it has ended", lambda: '"stopped"' in daemon.log())
    assert len(ends) == 1


async def test_all_of_them_together_take_only_so_long(
    daemon: Daemon, peer: Peer, other: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "SECONDS", 0.01)
    daemon.served()[0].endings.add("hangs", anyio.sleep_forever)
    await peer.close()
    await daemon.until("it is let go", lambda: len(daemon.served()) == 1)
    assert "the end of a connection took too long" in daemon.log()


async def test_a_connection_has_a_bounded_number_and_none_after_its_end() -> None:
    some = Endings()
    for number in range(endings.MOST):
        some.add(str(number), anyio.lowlevel.checkpoint)
    with pytest.raises(RuntimeError):
        some.add("one more", anyio.lowlevel.checkpoint)
    some.add("0", anyio.lowlevel.checkpoint)
    await some.run()
    with pytest.raises(RuntimeError):
        some.add("0", anyio.lowlevel.checkpoint)
