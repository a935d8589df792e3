"""The unlocked vault: its keys, what is known of its entries, and until when. One for each daemon, on the loop.

Locked means that nothing of this is left but zeros. The vault is locked when the daemon starts and ends, on request,
when nobody used it for a while or its longest time is over (by the boot clock, which goes on while the machine
sleeps), and when what is stored is no longer what was unlocked, as after a restore.

Refuses to hand out a key: what works with it asks for what is open, at once or after its turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from ..config import Vault as Settings
from .audit_queue import AuditQueue
from .consent import Asking
from .keys import DataKey
from .search import Contents
from .store import Header


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was found wrong with the vault: the ids of what doesn't open or fit, and a sentence for people."""

    damaged: tuple[str, ...]
    problem: str


@dataclass(slots=True, eq=False)
class Opened:
    """A vault that is unlocked. `header` is what is stored; while a change is on its way to the disk, its head is
    `coming`."""

    key: DataKey
    header: Header
    contents: Contents
    total: int
    unlocked_at: int
    """In microseconds since 1970."""
    began: float
    """On the boot clock, as `used`."""
    used: float
    trouble: Trouble | None = None
    """Why it is read-only."""
    coming: bytes | None = field(default=None, repr=False)

    def is_of(self, head: bytes | None) -> bool:
        """Whether a head that was read belongs to it."""
        return head is not None and head in (self.header.head, self.coming)

    def seconds_left(self, settings: Settings, boot: float) -> tuple[float, float]:
        """How long until it is locked if nobody uses it, and whatever happens."""
        hard = self.began + settings.hard_seconds - boot
        return min(hard, self.used + settings.idle_seconds - boot), hard


@dataclass(slots=True)
class Wrong:
    """What this run knows of wrong passwords beside what is on disk; `throttle` counts them."""

    last: float | None = None
    """When, on the boot clock, one last came."""
    looked: float | None = None
    """When, on the boot clock, it was first asked how long the next one has to wait."""
    uncounted: int = 0
    """Those that the disk didn't take."""


class Keyring:
    """What the daemon knows of its vault while it runs."""

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.trouble: Trouble | None = None
        """What the last attempt to unlock found."""
        self.unread: set[str] = set()
        """Entries whose values didn't open when they were needed, which no unlock finds: it reads no values."""
        self.wrong = {is_agent: Wrong() for is_agent in (False, True)}
        """Of agents, and of all others."""
        self.locks = 0
        """How often it was locked, also where it was locked already: whoever unlocks it meanwhile comes too late."""
        self.asking = Asking()
        self.audit_queue = AuditQueue()
        self._unlocked = anyio.Event()
        self.turn = anyio.Lock()
        """Held while the vault is changed or unlocked, from the first look to the commit."""
        self.deriving = anyio.Lock()
        """Held while a password is tried: one at a time, since each takes much memory."""
        self.searching = anyio.CapacityLimiter(1)
        """Of threads that search."""

    def open(self, opened: Opened) -> None:
        """From now on it is unlocked, as this."""
        self._drop()
        self.opened = opened
        self.trouble = opened.trouble
        self._unlocked.set()

    async def until_open(self) -> Opened:
        """Wait until it is unlocked; as it is then."""
        while self.opened is None:
            await self._unlocked.wait()
        return self.opened

    def lock(self) -> bool:
        """Wipe the keys and drop what was read; whether it was unlocked. Who waits for a confirmation is refused."""
        was_open = self.opened is not None
        self.locks += 1
        self._drop()
        self.asking.end_all()
        return was_open

    def found(self, damaged: Iterable[str], problem: str) -> None:
        """Remember what was wrong."""
        self.trouble = Trouble(tuple(damaged), problem)

    def replaced(self) -> None:
        """What is stored has been replaced as a whole: neither the keys nor what was found belong to it."""
        self.lock()
        self.trouble = None
        self.unread.clear()

    def close(self) -> None:
        """The daemon ends, but its writer goes on to the end of what it is given."""
        self.lock()
        self.audit_queue.hand_over()

    def _drop(self) -> None:
        if self.opened is not None:
            self.opened.key.wipe()
            self.opened.contents = Contents()
            self.opened = None
            self._unlocked = anyio.Event()
