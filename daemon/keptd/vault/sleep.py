"""Locking before the machine sleeps, where logind tells of it (org.freedesktop.login1(5), "Inhibitor Locks").

Owns one connection to the system bus. It waits for the signal PrepareForSleep, and holds a delay inhibitor, so that the
machine waits with sleeping, for some seconds at most, until the vault is locked. Where there is no system bus or no
logind, as in a container or under WSL2, nothing happens but a look now and then; the vault's own time runs on while the
machine sleeps, so that it is locked at the next call at the latest if that has run out.

Threads that are at work when the vault is locked have keys of their own, as during a rotation, and go on to their end.
The machine waits for them as well, for some seconds: a rotation of a large vault may take longer, and then its keys are
in the image of a machine that is put to sleep on its disk.

Once it is let go the machine may sleep at any moment, and nothing tells when it does. Who unlocks the vault until then
finds it locked again at the other signal, when the machine wakes up.

The inhibitor is held whether or not the vault is unlocked. Held only meanwhile, it would have to be there before an
unlock takes effect, or the machine could sleep between the two with an unlocked vault: so each unlock would wait for
the bus, up to `ANSWER_SECONDS` where logind hangs, and each of the ways in which a vault locks would have to let it go.
What that would save is little: a locked vault lets go as soon as the signal comes, a daemon that hangs holds up the
machine by logind's own limit (InhibitDelayMaxSec, 5 s) at most, and the price is a descriptor and a line in
`systemd-inhibit --list`.

Anybody on the bus may send it any message, as signals go where their sender wants, match rule or not, and descriptors
with them. So only those of logind count, which is whoever has its name: the bus says who has, and puts itself the name
of its sender into each message. All others are skipped, whatever they are.

Only ever locks. It does so as well where a bus that could tell of sleep has gone, as when it is restarted, and soon
looks for it again. Refuses a bus that is slow to begin with or sends what is no message, and tries again later.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import anyio
import structlog

from kept.wire import Actor
from kept.wire.vault import LockVault

from .. import config
from ..clock import Clock
from ..store import Store
from ..system_bus import (
    ERROR,
    MESSAGE_BYTES,
    REPLY_SERIAL,
    RETURN,
    SENDER,
    BadMessage,
    Message,
    Skipped,
    address,
    call,
    take,
)
from .keyring import Keyring
from .visit import Visit

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
"""Of the D-Bus specification, where the environment names no other."""

RETRY_SECONDS = 300.0
"""Between two attempts to reach the bus."""

AGAIN_SECONDS = 1.0
"""Before the first attempt where there was a bus; each pause after it is twice as long."""

ANSWER_SECONDS = 10.0
"""How long the bus and logind may take for one answer."""

_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_SIGNAL = "PrepareForSleep"
_OWNERS = "NameOwnerChanged"
_SLEEP_RULE = f"type='signal',sender='{_LOGIND[0]}',path='{_LOGIND[1]}',interface='{_LOGIND[2]}',member='{_SIGNAL}'"
_OWNER_RULE = f"type='signal',sender='{_BUS[0]}',member='{_OWNERS}',arg0='{_LOGIND[0]}'"
_INHIBIT = ("sleep", "kept", "locks its vault first", "delay")

_LINE_BYTES = 1024
"""The longest line before the messages begin."""

_UNHEARD = 64
"""Signals of logind and the bus that may come while an answer is waited for; of more, the first are forgotten."""

_SETTLING_SECONDS = 4.0
"""How long a lock waits for threads that have a key of their own: less than logind gives (InhibitDelayMaxSec, 5 s)."""

_pause = anyio.sleep

logger = structlog.get_logger(__name__)


async def follow(store: Store, clock: Clock) -> None:
    """Lock the daemon's vault before and after each sleep, without end."""
    actor = Actor(client="keptd", uid=os.getuid(), pid=os.getpid())
    visit = Visit(store, clock, config.Vault(), actor, LockVault.method)

    async def lock() -> None:
        if not visit.fall_shut():
            # Nothing is open yet: an unlock that is on its way comes too late.
            visit.keyring.lock()
        await _settled(visit.keyring)

    await heed(lock)


async def _settled(keyring: Keyring) -> None:
    """Wait until nobody has a key any more who had one at the lock, or it takes too long.

    Who tries a password, or has got a key by one and a change to make, is in one of the two queues, first in that of
    passwords and at once in that of turns: whoever is behind them is alone. Who comes later finds the vault locked.
    """
    with anyio.move_on_after(_SETTLING_SECONDS):
        async with keyring.deriving:
            pass
        async with keyring.turn:
            pass


async def heed(lock: Callable[[], Awaitable[object]], environ: Mapping[str, str] = os.environ) -> None:
    """Call `lock` before each sleep and after it, without end; cancel it to end it."""
    where = address(environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS)
    pause = RETRY_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            bus = _Bus(connection)
            try:
                connection.connect(where)
                await bus.heed(lock)
            except (OSError, BadMessage, TimeoutError) as fault:
                logger.debug("nobody tells of sleep", fault=type(fault).__name__)
        if bus.is_heard:
            await lock()
        pause = AGAIN_SECONDS if bus.is_heard else min(2 * pause, RETRY_SECONDS)
        await _pause(pause)


class _Bus:
    """A connection, and what it holds."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_heard = False
        """Whether a sleep would have been heard of."""
        self._connection = connection
        self._received = bytearray()
        self._skipping = 0
        """Bytes that are yet to come of a message that is skipped."""
        self._came = 0
        """Bytes that have come."""
        self._descriptors: deque[tuple[int, list[int]]] = deque()
        """What came along with bytes, and how many bytes there had been then: the last of them belongs to the same
        message (unix(7): ancillary data is a barrier)."""
        self._given: list[int] = []
        """The descriptors of the last message."""
        self._signals: deque[Message] = deque(maxlen=_UNHEARD)
        self._serial = 0
        self._logind = ""
        """The unique name of who is logind; empty for nobody."""
        self._asked = ""
        """Who was last asked for an inhibitor."""
        self._inhibitor: int | None = None

    async def heed(self, lock: Callable[[], Awaitable[object]]) -> None:
        """Until the bus ends it. Raises `OSError`, `BadMessage` and `TimeoutError`."""
        try:
            await self._begin()
            self.is_heard = True
            while True:
                signal = self._signals.popleft() if self._signals else await self._receive()
                if self._is_of_owner(signal):
                    if self._logind not in ("", self._asked):
                        await self._inhibit()
                elif self._is_of_sleep(signal):
                    begins = signal.truth()
                    if begins:
                        logger.info("the machine is about to sleep")
                    await lock()
                    if begins:
                        self._let_sleep()
                    elif self._inhibitor is None:
                        await self._inhibit()
        finally:
            self._let_sleep()
            self._close_given()
            while self._descriptors:
                self._given = self._descriptors.popleft()[1]
                self._close_given()

    async def _begin(self) -> None:
        # EXTERNAL: the bus asks the kernel who this is; the number only says who one wants to be.
        await self._send(b"\0AUTH EXTERNAL %s\r\n" % str(os.geteuid()).encode().hex().encode())
        if not (await self._line()).startswith(b"OK "):
            raise BadMessage("the bus lets nobody in")
        await self._send(b"NEGOTIATE_UNIX_FD\r\n")
        await self._line()  # A bus that passes no descriptors refuses the inhibitor later.
        await self._send(b"BEGIN\r\n")
        await self._ask(_BUS, "Hello")
        # First who it is, so that none of its signals comes from somebody unknown.
        await self._match(_OWNER_RULE)
        owner = await self._ask(_BUS, "GetNameOwner", _LOGIND[0])
        if owner.kind == RETURN:
            (self._logind,) = owner.texts(1)
        await self._match(_SLEEP_RULE)
        await self._inhibit()

    async def _match(self, rule: str) -> None:
        if (await self._ask(_BUS, "AddMatch", rule)).kind == ERROR:
            raise BadMessage("the bus takes no match rule")

    async def _inhibit(self) -> None:
        """Have the next sleep wait. Where that is refused, the signal alone has to do."""
        answer = await self._ask(_LOGIND, "Inhibit", *_INHIBIT)
        self._asked = self._logind
        if answer.kind == RETURN and self._given:
            self._let_sleep()
            self._inhibitor = self._given.pop(0)
        logger.debug("told of sleep", delays=self._inhibitor is not None)

    def _let_sleep(self) -> None:
        if self._inhibitor is not None:
            os.close(self._inhibitor)
            self._inhibitor = None

    def _close_given(self) -> None:
        while self._given:
            os.close(self._given.pop())

    async def _ask(self, whom: tuple[str, str, str], member: str, *texts: str) -> Message:
        self._serial += 1
        await self._send(call(self._serial, *whom, member, *texts))
        with anyio.fail_after(ANSWER_SECONDS):
            while True:
                message = await self._receive()
                if message.kind in (RETURN, ERROR) and message.fields.get(REPLY_SERIAL) == self._serial:
                    # The bus answers for a logind that isn't there.
                    if message.fields.get(SENDER) in (_BUS[0], self._logind if whom is _LOGIND else None):
                        return message
                elif self._is_of_owner(message) or self._is_of_sleep(message):
                    self._signals.append(message)

    def _is_of_owner(self, message: Message) -> bool:
        return message.is_signal(*_BUS, _OWNERS)

    def _is_of_sleep(self, message: Message) -> bool:
        return message.is_signal(self._logind, *_LOGIND[1:], _SIGNAL)

    async def _receive(self) -> Message:
        while True:
            self._close_given()
            message = take(self._received)
            taken = self._came - len(self._received)
            while self._descriptors and self._descriptors[0][0] <= taken:
                self._given += self._descriptors.popleft()[1]
            if message is None:
                await self._more()
            elif isinstance(message, Skipped):
                self._skipping = message.rest
            else:
                if self._is_of_owner(message):
                    name, _, owner = message.texts(3)
                    self._logind = owner if name == _LOGIND[0] else self._logind
                return message

    async def _line(self) -> bytes:
        with anyio.fail_after(ANSWER_SECONDS):
            while b"\r\n" not in self._received:
                if len(self._received) > _LINE_BYTES:
                    raise BadMessage("a line without end")
                await self._more()
        line, _, rest = bytes(self._received).partition(b"\r\n")
        self._received[:] = rest
        return line

    async def _more(self) -> None:
        await anyio.wait_readable(self._connection)
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._connection, MESSAGE_BYTES, 4, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return
        self._came += len(data)
        if descriptors:
            self._descriptors.append((self._came, descriptors))
        if not data:
            raise ConnectionResetError("the bus has ended the connection")
        skipped = min(self._skipping, len(data))
        self._skipping -= skipped
        self._received += data[skipped:]

    async def _send(self, data: bytes) -> None:
        with anyio.fail_after(ANSWER_SECONDS):
            while data:
                await anyio.wait_writable(self._connection)
                data = data[self._connection.send(data) :]
