"""The vault is locked before the machine sleeps, and nothing on the other side of the bus does any harm."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from keptd import system_bus
from keptd.system_bus import REPLY_SERIAL
from keptd.vault import sleep
from keptd.vault.sleep import heed
from tests.harness import PATIENCE, Daemon, Peer, patience, request
from tests.login1 import WHY, Logind, bus, message, prepare_for_sleep

from .room import PASSWORD, accesses, guarded, keyring

pytestmark = pytest.mark.anyio


class Locked:
    """Counts, and tells what was still held when the lock came."""

    def __init__(self) -> None:
        self.times = 0
        self.came = anyio.Event()

    async def __call__(self) -> None:
        self.times += 1
        self.came.set()


@pytest.mark.skipif(bool(WHY), reason=WHY)
async def test_the_vault_is_locked_before_the_machine_sleeps_and_again_the_next_time(home: Path) -> None:
    with bus(home) as address:
        logind = Logind(address)
        seen: list[str] = []
        inhibitor = -1

        async def lock() -> None:
            seen.append("before" if inhibitor >= 0 and is_held(inhibitor) else "after")

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(heed, lock, {"DBUS_SYSTEM_BUS_ADDRESS": address}))
                for _ in range(2):
                    inhibitor = await given(logind)
                    assert is_held(inhibitor)
                    logind.say(sleeps=True)
                    await let_go(inhibitor)
                    inhibitor = -1
                    logind.say(sleeps=False)
                inhibitor = await given(logind)
                tasks.cancel_scope.cancel()
            assert seen == ["before", "after"] * 2, "the machine waits until it is locked"
            # And not for a daemon that has ended.
            await let_go(inhibitor)
        finally:
            logind.close()


@pytest.mark.skipif(bool(WHY), reason=WHY)
async def test_a_daemon_locks_its_vault_and_writes_it_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bus(home) as address:
        logind = Logind(address)
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        try:
            async with guarded(home / "kept") as daemon:
                peer = await daemon.connect()
                await peer.result("vault.init", password="a password")
                inhibitor = await given(logind)
                logind.say(sleeps=True)
                await let_go(inhibitor)
                assert (await peer.result("vault.status"))["state"] == "locked"
                await peer.result("memory.set", key="after what was handed over before", value=0)
                (access, *_) = (await peer.result("vault.audit"))["items"]
                assert (access["action"], access["client"]) == ("lock", "keptd")
        finally:
            logind.close()


async def lock_of(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[object]]:
    """What a daemon does before a sleep."""
    found: list[Callable[[], Awaitable[object]]] = []

    async def heed(lock: Callable[[], Awaitable[object]]) -> None:
        found.append(lock)

    with monkeypatch.context() as patch:
        patch.setattr(sleep, "heed", heed)
        await sleep.follow(daemon.supervisor._store, daemon.clock)
    return found[0]


async def test_an_unlock_that_is_on_its_way_when_the_machine_sleeps_comes_too_late(
    daemon: Daemon, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = await lock_of(daemon, monkeypatch)
    await peer.result("vault.lock")
    async with keyring(daemon).turn:
        await peer.send(request("unlock", "vault.unlock", password=PASSWORD))
        await daemon.until("it waits for its turn", lambda: keyring(daemon).turn.statistics().tasks_waiting)
        await lock()
    assert (await peer.error())[2] == "conflict"
    assert (await peer.result("vault.status"))["state"] == "locked"
    told = [("init", "ok"), ("lock", "ok"), ("unlock", "locked")]
    assert await accesses(peer) == told, "what was locked is not written down once more"


async def given(logind: Logind) -> int:
    """The other end of an inhibitor that has been given out."""
    return await anyio.to_thread.run_sync(partial(logind.inhibitors.get, timeout=PATIENCE))


def is_held(inhibitor: int) -> bool:
    """Whether nobody has closed it, and so its end has not come."""
    os.set_blocking(inhibitor, False)
    try:
        return os.read(inhibitor, 1) != b""
    except BlockingIOError:
        return True


async def let_go(inhibitor: int) -> None:
    with patience("the inhibitor to be let go"):
        await anyio.wait_readable(inhibitor)
    os.close(inhibitor)


Speak = Callable[[socket.socket], None]


@contextmanager
def scripted(home: Path, speak: Speak) -> Iterator[str]:
    """A bus that says what a test wants, to one client; its address."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "bus"))
        listener.listen()
        listener.settimeout(PATIENCE)

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    speak(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix:path={home / 'bus'}"
        finally:
            thread.join()


def answers(connection: socket.socket, buffer: bytearray, count: int, kind: int = system_bus.RETURN) -> None:
    """Answer so many calls, without a body."""
    for number in range(count):
        while (asked := system_bus.take(buffer)) is None:
            buffer += connection.recv(65536)
        connection.sendall(message(kind, number + 1, {REPLY_SERIAL: ("u", asked.serial)}))


def welcome(connection: socket.socket) -> bytearray:
    """All that comes before the messages; what has come of these."""
    received = bytearray()
    for reply in (b"OK 0123456789abcdef0123456789abcdef\r\n", b"ERROR\r\n"):
        while not received.endswith(b"\r\n"):
            received += connection.recv(1024)
        received.clear()
        connection.sendall(reply)
    while b"BEGIN\r\n" not in received:
        received += connection.recv(65536)
    return received.partition(b"BEGIN\r\n")[2]


async def test_without_an_inhibitor_the_signal_does(home: Path) -> None:
    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        answers(connection, buffer, 2)
        answers(connection, buffer, 1, system_bus.ERROR)
        connection.sendall(message(system_bus.SIGNAL, 8, {}) + prepare_for_sleep(9, begins=True))
        connection.recv(1)

    locked = Locked()
    with scripted(home, speak) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(heed, locked, {"DBUS_SYSTEM_BUS_ADDRESS": address}))
            with patience("the lock"):
                await locked.came.wait()
            tasks.cancel_scope.cancel()
    assert locked.times == 1


async def test_a_signal_that_comes_before_an_answer_is_not_lost(home: Path) -> None:
    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        connection.sendall(prepare_for_sleep(9, begins=True))
        answers(connection, buffer, 3)
        connection.recv(1)

    locked = Locked()
    with scripted(home, speak) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(heed, locked, {"DBUS_SYSTEM_BUS_ADDRESS": address}))
            with patience("the lock"):
                await locked.came.wait()
            tasks.cancel_scope.cancel()


def rejects(connection: socket.socket) -> None:
    connection.sendall(b"REJECTED EXTERNAL\r\n")


def says_nothing_it_should(connection: socket.socket) -> None:
    connection.sendall(b"x" * 4096)


def ends(_: socket.socket) -> None:
    return


def sends_no_message(connection: socket.socket) -> None:
    welcome(connection)
    connection.sendall(b"\xff" * 64)


def takes_no_rule(connection: socket.socket) -> None:
    buffer = welcome(connection)
    answers(connection, buffer, 1)
    answers(connection, buffer, 1, system_bus.ERROR)


def says_no_truth(connection: socket.socket) -> None:
    answers(connection, welcome(connection), 3)
    connection.sendall(prepare_for_sleep(9, begins=True).replace(b"\1b\0", b"\1u\0"))


@pytest.mark.parametrize(
    "speak", [rejects, says_nothing_it_should, ends, sends_no_message, takes_no_rule, says_no_truth]
)
async def test_a_bus_that_is_none_is_left_for_a_while(
    home: Path, speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = anyio.Event()

    async def wait(seconds: float) -> None:
        assert seconds == sleep.RETRY_SECONDS
        waits.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(sleep, "_pause", wait)
    locked = Locked()
    before = len(os.listdir("/proc/self/fd"))
    with scripted(home, speak) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(heed, locked, {"DBUS_SYSTEM_BUS_ADDRESS": address}))
            with patience("the pause"):
                await waits.wait()
            tasks.cancel_scope.cancel()
    assert locked.times == 0
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "address", ["", "unix:path=/nowhere/bus", "tcp:host=x", f"unix:path=/{'x' * 200}", "unix:path=%00"]
)
async def test_where_there_is_no_bus_it_is_looked_for_now_and_then(
    address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    looks = 0

    async def wait(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise Enough

    monkeypatch.setattr(sleep, "_pause", wait)
    monkeypatch.setattr(sleep, "SYSTEM_BUS", f"unix:path={home / 'none'}")
    with pytest.raises(Enough):
        await heed(Locked(), {"DBUS_SYSTEM_BUS_ADDRESS": address})
