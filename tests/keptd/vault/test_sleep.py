"""The vault is locked before the machine sleeps, and nothing on the other side of the bus does any harm."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from keptd import system_bus
from keptd.system_bus import REPLY_SERIAL, SENDER
from keptd.vault import sleep
from keptd.vault.sleep import heed
from tests.harness import PATIENCE, patience
from tests.login1 import NAME, WHY, Logind, bus, message, prepare_for_sleep

from .room import guarded

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
                listener.close()
                with connection:
                    connection.settimeout(PATIENCE)
                    speak(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix:path={home / 'bus'}"
        finally:
            thread.join()


BUS = "org.freedesktop.DBus"
LOGIND, STRANGER = ":1.7", ":1.66"
BEGINNING = 5
"""Calls before anything can be heard: Hello, two match rules, who is logind, and the inhibitor."""


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode() + bytes(4 - len(value) % 4)


def answers(
    connection: socket.socket, buffer: bytearray, count: int, kind: int = system_bus.RETURN, descriptor: int = -1
) -> None:
    """Answer so many calls: who is logind, and all others without a body, the last one with a descriptor."""
    for number in range(count):
        while (asked := system_bus.take(buffer)) is None:
            buffer += connection.recv(65536)
        assert isinstance(asked, system_bus.Message)
        is_logind_s = asked.fields[system_bus.DESTINATION] == NAME
        fields: dict[int, tuple[str, str | int]] = {
            REPLY_SERIAL: ("u", asked.serial),
            SENDER: ("s", LOGIND if is_logind_s else BUS),
        }
        body = b""
        if asked.fields[system_bus.MEMBER] == "GetNameOwner":
            fields[system_bus.SIGNATURE], body = ("g", "s"), text(LOGIND)
        told = message(kind, number + 1, fields, body)
        if descriptor >= 0 and number == count - 1:
            # What comes before it in the same bytes is not what it belongs to.
            socket.send_fds(connection, [message(system_bus.SIGNAL, 8, {}) + told], [descriptor])
        else:
            connection.sendall(told)


def owned_by(owner: str) -> bytes:
    """The bus tells who is logind now."""
    fields: dict[int, tuple[str, str | int]] = {
        SENDER: ("s", BUS),
        system_bus.PATH: ("o", "/org/freedesktop/DBus"),
        system_bus.INTERFACE: ("s", BUS),
        system_bus.MEMBER: ("s", "NameOwnerChanged"),
        system_bus.SIGNATURE: ("g", "sss"),
    }
    return message(system_bus.SIGNAL, 9, fields, text(NAME) + text("") + text(owner))


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


@asynccontextmanager
async def heard(home: Path, speak: Speak) -> AsyncIterator[Locked]:
    """What is locked by a bus that says this, which is listened to meanwhile."""
    locked = Locked()
    with scripted(home, speak) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(heed, locked, {"DBUS_SYSTEM_BUS_ADDRESS": address}))
            try:
                yield locked
            finally:
                tasks.cancel_scope.cancel()


async def test_without_an_inhibitor_the_signal_does(home: Path) -> None:
    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        answers(connection, buffer, BEGINNING - 1)
        answers(connection, buffer, 1, system_bus.ERROR)
        connection.sendall(message(system_bus.SIGNAL, 8, {}) + prepare_for_sleep(9, begins=True, sender=LOGIND))
        connection.recv(1)

    async with heard(home, speak) as locked:
        with patience("the lock"):
            await locked.came.wait()
        assert locked.times == 1


async def test_a_signal_that_comes_before_an_answer_is_not_lost(home: Path) -> None:
    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        answers(connection, buffer, BEGINNING - 1)
        connection.sendall(prepare_for_sleep(9, begins=True, sender=LOGIND))
        connection.sendall(prepare_for_sleep(9, begins=True, sender=STRANGER) * 2 * sleep._UNHEARD)
        answers(connection, buffer, 1)
        connection.recv(1)

    async with heard(home, speak) as locked:
        with patience("the lock"):
            await locked.came.wait()


def as_texts(signal: bytes) -> bytes:
    return signal.replace(b"\1b\0", b"\1u\0")


FROM_STRANGERS = {
    "the very signal": prepare_for_sleep(9, begins=True, sender=STRANGER),
    "its end": prepare_for_sleep(9, begins=False, sender=STRANGER),
    "a body that says nothing": as_texts(prepare_for_sleep(9, begins=True, sender=STRANGER)),
    "without a sender": prepare_for_sleep(9, begins=True),
    "under the name of logind": prepare_for_sleep(9, begins=True, sender=NAME),
    "too long": message(system_bus.SIGNAL, 9, {SENDER: ("s", STRANGER)}, bytes(3 * system_bus.MESSAGE_BYTES)),
    "a field of a container": b"l\4\0\1" + struct.pack("<III", 0, 1, 8) + b"\x0a\2as\0\0\0\0",
    "an answer that nobody waits for": message(
        system_bus.RETURN, 9, {SENDER: ("s", STRANGER), REPLY_SERIAL: ("u", BEGINNING)}
    ),
    "another owner": owned_by(STRANGER).replace(text(BUS), text(":" + "1" * 19)),
}


@pytest.mark.parametrize("said", FROM_STRANGERS.values(), ids=FROM_STRANGERS)
async def test_what_a_stranger_says_neither_locks_nor_ends_anything(home: Path, said: bytes) -> None:
    all_heard = threading.Event()

    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        connection.sendall(said)
        answers(connection, buffer, BEGINNING - 1)
        connection.sendall(said)
        answers(connection, buffer, 1)
        connection.sendall(said * 2 + prepare_for_sleep(9, begins=True, sender=LOGIND))
        connection.sendall(said + prepare_for_sleep(9, begins=False, sender=LOGIND))
        while system_bus.take(buffer) is None:  # The inhibitor for the next time.
            buffer += connection.recv(65536)
        all_heard.set()
        connection.recv(1)

    async with heard(home, speak) as locked:
        assert await anyio.to_thread.run_sync(all_heard.wait, PATIENCE)
        assert locked.times == 2, "before the sleep and after it"


async def test_a_stranger_s_descriptor_is_closed_and_does_not_delay_the_sleep(home: Path) -> None:
    (own, given_out), (strange, others) = os.pipe(), os.pipe()
    skipped = FROM_STRANGERS["too long"]
    go = threading.Event()

    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        answers(connection, buffer, BEGINNING - 1)
        for said in FROM_STRANGERS.values():
            socket.send_fds(connection, [said[:20]], [others])
            connection.sendall(said[20:] + skipped)
        answers(connection, buffer, 1, descriptor=given_out)
        socket.send_fds(connection, [skipped], [others])
        os.close(given_out)
        os.close(others)
        assert go.wait(PATIENCE)
        connection.sendall(prepare_for_sleep(9, begins=True, sender=LOGIND))
        connection.recv(1)

    async with heard(home, speak) as locked:
        try:
            await let_go(strange)
            assert (is_held(own), locked.times) == (True, 0)
        finally:
            go.set()
        await let_go(own)
        assert locked.times == 1


async def test_another_logind_is_asked_for_an_inhibitor_and_heard_and_the_former_one_is_not(home: Path) -> None:
    asked_again = threading.Event()

    def speak(connection: socket.socket) -> None:
        buffer = welcome(connection)
        answers(connection, buffer, BEGINNING)
        connection.sendall(owned_by("") + prepare_for_sleep(9, begins=True, sender=LOGIND))
        connection.sendall(owned_by(":1.8") + prepare_for_sleep(9, begins=True, sender=LOGIND))
        while (asked := system_bus.take(buffer)) is None:
            buffer += connection.recv(65536)
        assert isinstance(asked, system_bus.Message)
        assert asked.fields[system_bus.MEMBER] == "Inhibit"
        asked_again.set()
        answer = message(system_bus.RETURN, 9, {REPLY_SERIAL: ("u", asked.serial), SENDER: ("s", ":1.8")})
        connection.sendall(answer + prepare_for_sleep(9, begins=True, sender=":1.8"))
        connection.recv(1)

    async with heard(home, speak) as locked:
        with patience("the lock"):
            await locked.came.wait()
        assert locked.times == 1
    assert asked_again.is_set()


class Enough(Exception):
    pass


def pauses(monkeypatch: pytest.MonkeyPatch, count: int) -> list[float]:
    """How long it waits between attempts, without waiting; `Enough` is raised instead of the last."""
    seconds: list[float] = []

    async def wait(pause: float) -> None:
        seconds.append(pause)
        if len(seconds) == count:
            raise Enough

    monkeypatch.setattr(sleep, "_pause", wait)
    return seconds


async def test_a_bus_that_goes_locks_the_vault_and_is_soon_looked_for_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = pauses(monkeypatch, 11)
    locked = Locked()

    def speak(connection: socket.socket) -> None:
        answers(connection, welcome(connection), BEGINNING)

    with scripted(home, speak) as address, pytest.raises(Enough):
        await heed(locked, {"DBUS_SYSTEM_BUS_ADDRESS": address})
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert locked.times == 1, "there was nothing more to be lost"


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


@pytest.mark.parametrize("speak", [rejects, says_nothing_it_should, ends, sends_no_message, takes_no_rule])
async def test_a_bus_that_is_none_is_left_for_a_while(
    home: Path, speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = pauses(monkeypatch, 1)
    locked = Locked()
    before = len(os.listdir("/proc/self/fd"))
    with scripted(home, speak) as address, pytest.raises(Enough):
        await heed(locked, {"DBUS_SYSTEM_BUS_ADDRESS": address})
    assert seconds == [sleep.RETRY_SECONDS]
    assert locked.times == 0
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_logind_that_says_no_truth_locks_the_vault(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def speak(connection: socket.socket) -> None:
        answers(connection, welcome(connection), BEGINNING)
        connection.sendall(as_texts(prepare_for_sleep(9, begins=False, sender=LOGIND)))

    pauses(monkeypatch, 1)
    locked = Locked()
    with scripted(home, speak) as address, pytest.raises(Enough):
        await heed(locked, {"DBUS_SYSTEM_BUS_ADDRESS": address})
    assert locked.times == 1


@pytest.mark.parametrize(
    "address", ["", "unix:path=/nowhere/bus", "tcp:host=x", f"unix:path=/{'x' * 200}", "unix:path=%00"]
)
async def test_where_there_is_no_bus_it_is_looked_for_now_and_then(
    address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = pauses(monkeypatch, 3)
    monkeypatch.setattr(sleep, "SYSTEM_BUS", f"unix:path={home / 'none'}")
    with pytest.raises(Enough):
        await heed(Locked(), {"DBUS_SYSTEM_BUS_ADDRESS": address})
    assert seconds == [sleep.RETRY_SECONDS] * 3
