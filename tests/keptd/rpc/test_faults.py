"""What the machine refuses the server: descriptors, and pages."""

from __future__ import annotations

import errno
import socket

import apsw
import pytest

from kept.wire.errors import StorageFailed
from keptd.jobs.runner import Runner
from tests.harness import Daemon, Peer

pytestmark = pytest.mark.anyio


class Short:
    """A listener for whose next connections there is no descriptor."""

    def __init__(self, listener: socket.socket, times: int, number: int) -> None:
        self._listener = listener
        self.left = times
        self._number = number

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if self.left:
            self.left -= 1
            raise OSError(self._number, "injected")
        return self._listener.accept()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_who_comes_while_descriptors_are_short_is_served_when_there_are_some(
    daemon: Daemon, peer: Peer, number: int
) -> None:
    server = daemon.supervisor._server
    short = Short(server._listener, 2, number)
    server._listener = short  # type: ignore[assignment]
    await (await daemon.connect()).is_served()  # It was waited for on the listener itself.
    other = await daemon.connect()
    await peer.is_served()
    await other.is_served()
    assert short.left == 0
    assert errno.errorcode[number] in daemon.log()


@pytest.mark.parametrize(("method", "does"), [("job.list", "listed"), ("job.history", "history")])
@pytest.mark.parametrize("is_damage", [True, False])
async def test_a_call_that_meets_a_fault_of_the_disk_is_refused_and_damage_ends_the_daemon(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch, method: str, does: str, is_damage: bool
) -> None:
    daemon.expected |= {"read failed", "damage found", "stopping for a recovery"}

    def fails(*_: object) -> None:
        raise apsw.CorruptError if is_damage else apsw.IOError

    async def fails_later(*_: object) -> None:
        fails()

    monkeypatch.setattr(Runner, does, fails if does == "listed" else fails_later)
    assert await peer.refusal(method) == (StorageFailed.code, StorageFailed.type)
    damage = daemon.supervisor._store.damage
    assert bool(damage.detail) == is_damage
    if is_damage:
        await daemon.until("the stop", daemon.supervisor._stopping.is_set)
    else:
        await peer.is_served()
