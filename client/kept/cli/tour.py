"""The tour: kept's main job on real input, with a daemon that is killed in the middle of it.

In a home of its own, which it removes. It counts what the daemon acknowledged and looks up each of these afterwards,
so that what it prints is what happened; anything missing, doubled or left unwritten makes it fail.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..client import Client
from ..faults import Fault, NoDaemon
from ..paths import Paths, find
from ..settings import Settings
from ..trust import Untrusted
from ..wire import Call, Write
from ..wire.context import BundleContext
from ..wire.daemon import Hello, Ping, Stop
from ..wire.errors import KeptError, NotFound
from ..wire.journal import Action, AddDecision, Decision, GetDecision, ListActions, LogAction
from ..wire.memory import GetMemory, Memory, SetMemory
from .moments import History, read
from .render import show_bundle, show_json
from .surface import FINE, REFUSED, USAGE, Surface
from .text import clean, one_line

WRITERS = 4
_MASK: Literal["redact"] = "redact"
"""A commit's subject may hold what looks like a credential; it is masked, not refused."""

READY_SECONDS = 15.0
STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.5

Entity = Action | Memory | Decision


@dataclass
class Tally:
    """What the writers were told. Shared by their threads."""

    half: int
    acknowledged: list[Entity] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    half_done: threading.Event = field(default_factory=threading.Event)

    def acknowledge(self, entity: Entity) -> None:
        """Count a reply."""
        with self.lock:
            self.acknowledged.append(entity)
            if len(self.acknowledged) >= self.half:
                self.half_done.set()

    def fail(self, reason: str) -> None:
        """Count a write that was given up. The main thread must not wait for a half that can't come."""
        with self.lock:
            self.failures.append(reason)
        self.half_done.set()


@dataclass(frozen=True)
class Check:
    """What a look at everything found: acknowledged writes that are gone, and moments that were recorded twice."""

    missing: int
    twice: int


class Tour:
    """One tour: a home, the daemon in it, and a watch that tells how long each stage took."""

    def __init__(self, home: Path, surface: Surface) -> None:
        self._home = home
        self._surface = surface
        self._environment = _environment(home)
        self._paths: Paths = find(self._environment)
        self._daemon: subprocess.Popen[bytes] | None = None
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Tell how it goes; to programs only the end is told."""
        if not self._surface.json:
            self._surface.line(clean(text))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 3)

    def client(self, name: str) -> Client:
        """A connection that says who it is, and never starts a daemon by itself."""
        return Client(self._paths, Hello(client=name), Settings(start=False, patience=READY_SECONDS))

    def start(self) -> int:
        """Start the daemon and wait until it answers; its process id. Raises `NoDaemon` with its last words."""
        log = self._home / "tour.log"
        with log.open("ab") as output:
            self._daemon = subprocess.Popen(
                [sys.executable, "-m", "keptd"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with suppress(NoDaemon), Client(self._paths, settings=Settings(start=False, patience=0.1)) as client:
                client.call(Ping())
                return self._daemon.pid
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text("utf-8", "replace").strip().splitlines()
                raise NoDaemon(f"keptd didn't become ready: {lines[-1] if lines else 'it said nothing'}")

    def kill(self) -> None:
        """SIGKILL, as a crash or a power cut would: no daemon code runs after it."""
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGKILL)
            self._daemon.wait()

    def end(self) -> None:
        """Stop the daemon, whatever state it is in."""
        if self._daemon is None or self._daemon.poll() is not None:
            return
        with (
            suppress(KeptError, Fault, Untrusted),
            Client(self._paths, settings=Settings(start=False, patience=1)) as client,
        ):
            client.call(Stop())
        try:
            self._daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def write(self, works: Sequence[Sequence[Write[Any]]], tally: Tally) -> list[threading.Thread]:
        """Start a writer for each work."""
        writers = [
            threading.Thread(target=self._writer, args=(f"writer-{number}", work, tally), daemon=True)
            for number, work in enumerate(works, 1)
        ]
        for writer in writers:
            writer.start()
        return writers

    def _writer(self, name: str, work: Sequence[Write[Any]], tally: Tally) -> None:
        try:
            with self.client(name) as client:
                for call in work:
                    tally.acknowledge(client.call(call))
        except (KeptError, Fault, Untrusted) as refusal:
            tally.fail(f"{name}: {refusal}")

    def check(self, tally: Tally) -> Check:
        """Look up everything that was acknowledged, by id, and count what is there more than once."""
        with self.client("tour") as client:
            actions = list(_all_actions(client))
            ids = Counter(action.id for action in actions)
            names = Counter(action.details["name"] for action in actions)
            missing = sum(not _is_there(client, entity, ids) for entity in tally.acknowledged)
            return Check(missing, sum(count - 1 for count in names.values()))

    def show_context(self) -> None:
        """Print the context that the next session would start with."""
        with self.client("tour") as client:
            bundle = client.call(BundleContext(format="markdown"))
        show_bundle(bundle, self._surface)


def run(folder: str, commits: int, surface: Surface) -> int:
    """Take the tour on `folder`; 1 where something acknowledged is missing or doubled, or could not be written."""
    where = Path(folder).resolve()
    if not where.is_dir():
        surface.err("kept: the folder for the tour is not there\n")
        return USAGE
    # A socket's path may have 107 bytes, so a temporary folder deep down is of no use.
    base = None if len(os.fsencode(tempfile.gettempdir())) < 60 else "/tmp"  # noqa: S108 - mkdtemp makes it private
    home = Path(tempfile.mkdtemp(prefix="kept-tour-", dir=base))
    tour = Tour(home, surface)
    try:
        return _take(tour, read(where, commits), where, surface)
    except (KeptError, Fault, Untrusted) as refusal:
        surface.err(f"kept: the tour failed: {clean(str(refusal))}\n")
        return REFUSED
    finally:
        tour.end()
        shutil.rmtree(home, ignore_errors=True)


def _take(tour: Tour, history: History, where: Path, surface: Surface) -> int:
    works = _works(history, where)
    total = sum(map(len, works))
    tally = Tally(half=max(1, total // 2))
    if history.remark:
        tour.say(history.remark)
    with tour.stage("start"):
        pid = tour.start()
    tour.say(f"1. keptd runs in a home of its own (pid {pid})")
    tour.say(f"2. {WRITERS} writers record {len(history.moments)} {history.kind} of {where}: {total} writes in all")
    with tour.stage("first half"):
        writers = tour.write(works, tally)
        while not tally.half_done.wait(_LOOK_SECONDS) and any(writer.is_alive() for writer in writers):
            pass
        tour.kill()
    before = len(tally.acknowledged)
    at_work = sum(writer.is_alive() for writer in writers)
    tour.say(f"3. kill -9 after {before} acknowledged writes; {at_work} writers were at work")
    with tour.stage("restart"):
        pid = tour.start()
    tour.say(f"4. keptd is back (pid {pid}); the writers go on by themselves, with the same idempotency keys")
    with tour.stage("second half"):
        for writer in writers:
            writer.join()
    with tour.stage("check"):
        found = tour.check(tally)
    return _tell(tour, tally, total, found, surface)


def _tell(tour: Tour, tally: Tally, total: int, found: Check, surface: Surface) -> int:
    acknowledged = len(tally.acknowledged)
    good = not found.missing and not found.twice and not tally.failures and acknowledged == total
    if surface.json:
        facts = {"writes": total, "acknowledged": acknowledged, "missing": found.missing, "twice": found.twice}
        show_json({**facts, "failures": tally.failures, "seconds": tour.seconds}, surface)
        return FINE if good else REFUSED
    there = acknowledged - found.missing
    tour.say(f"5. {there} of {acknowledged} acknowledged writes are there, {found.twice} of them twice")
    for failure in tally.failures:
        tour.say(f"   not written: {one_line(failure)}")
    tour.say("6. what the next session starts with:\n")
    tour.show_context()
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in tour.seconds.items())
    tour.say(f"\n{stages}")
    tour.say("Nothing that was acknowledged is lost." if good else "This is not as it should be; please report it.")
    return FINE if good else REFUSED


def _works(history: History, where: Path) -> list[list[Write[Any]]]:
    """What each writer writes: its share of the history, with memories and decisions among it."""
    works: list[list[Write[Any]]] = [[] for _ in range(WRITERS)]
    for number, moment in enumerate(history.moments):
        works[number % WRITERS].append(
            LogAction(
                action=moment.text,
                details={"name": moment.name, "at": moment.at},
                idempotency_key=f"tour-{number}",
                on_secret=_MASK,
            )
        )
    for number, call in enumerate(_knowledge(history, where)):
        work = works[number % WRITERS]
        work.insert(len(work) * (number // WRITERS + 1) // 3, call)
    return works


def _knowledge(history: History, where: Path) -> Iterator[Write[Any]]:
    """A handful of memories and decisions that follow from the history."""
    words = Counter(moment.text.split()[0].strip(":,.").lower() for moment in history.moments)
    facts: dict[str, Any] = {
        "tour.folder": where.name or str(where),
        "tour.recorded": {history.kind: len(history.moments)},
        "tour.first-words": [word for word, _ in words.most_common(5)],
    }
    if history.moments:
        facts["tour.oldest"] = history.moments[0].text
        facts["tour.newest"] = history.moments[-1].text
    for key, value in facts.items():
        # A folder's name or a subject may hold any bytes that were once a name; the wire takes UTF-8.
        safe = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        yield SetMemory(key=key, value=safe, category="tour", priority=8, tags=("tour",), on_secret=_MASK)
    yield AddDecision(
        decision="keep one daemon as the only writer",
        reasoning="several agents write at once, and none waits for a lock",
    )
    yield AddDecision(
        decision="acknowledge after the commit is on disk", reasoning="a reply that a crash takes back is worth nothing"
    )


def _all_actions(client: Client) -> Iterator[Action]:
    cursor: str | None = None
    while True:
        page = client.call(ListActions(limit=1000, cursor=cursor))
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _is_there(client: Client, entity: Entity, actions: Counter[Any]) -> bool:
    """Whether what was acknowledged is there, just once where it could be more."""
    if isinstance(entity, Action):
        return actions[entity.id] == 1
    look: Call[Any] = GetMemory(key=entity.key) if isinstance(entity, Memory) else GetDecision(id=entity.id)
    try:
        return bool(client.call(look).id == entity.id)
    except NotFound:
        return False


def _environment(home: Path) -> dict[str, str]:
    """The environment with `home` as kept's, and without settings meant for the owner's daemon."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEPT_")}
    return {**kept, "KEPT_HOME": str(home)}
