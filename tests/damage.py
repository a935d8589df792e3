"""Damage to a database, on purpose: a sample home, a map of its regions, bits that flip and pages that turn to zeros,
and a
judge of what is served afterwards.

The judge asks a start of the real recovery and the rooms' real handlers. An answer is either what it would be without
the damage, or a refusal that says so, after which the daemon would end and the next start recover. What a recovery
changes has to be in its report.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import apsw
import msgspec

from kept.wire import Call, Read
from kept.wire.component import DeleteComponent, ListComponents, SetComponent
from kept.wire.errors import NotFound
from kept.wire.journal import (
    AddDecision,
    ListActions,
    ListDecisions,
    ListErrors,
    LogAction,
    RecordError,
    ResolveDecision,
    SearchDecisions,
)
from kept.wire.memory import DeleteMemory, GetMemory, ListMemories, MemoryHistory, SearchMemories, SetMemory
from kept.wire.message import NewMessage, SendMessage
from kept.wire.session import CreateSession, DeleteSession, ListSessions, UpdateSession
from keptd import recovery
from keptd.config import Config, Storage
from keptd.domain import ReadCtx
from keptd.recovery import Backup, Marker, Report, wal
from keptd.recovery.report import DOUBT
from keptd.store import OWN
from keptd.store.checksums import PAGE
from keptd.store.database import FAULTS, is_damage, open_reader
from keptd.supervisor import DOMAINS

from .rooms import ACTOR, FakeClock, Rooms

SETS = (*OWN, *((domain.name, domain.migrations) for domain in DOMAINS))
SMALL = Storage(ballast_bytes=0)
HANDLERS = {handler.call: handler.run for domain in DOMAINS for handler in domain.handlers}

KEYS = 240
WORDS = ("anchor", "beacon", "copper", "dune", "ember", "fjord", "glacier", "harbour")

_encode = msgspec.json.Encoder(order="deterministic").encode

Kind = Literal["bit", "zeros"]
Answers = list[bytes | None]
"""Each reply as bytes; None for a refusal because of damage."""

TABLES = ("change", "memory", "memory_history", "action", "decision", "error", "component", "session", "message")
COUNTED = {
    "message": {"number"},
    "session": {"messages", "bytes", "tokens", "last_message_at", "active_at"}
    | {f"said_{role}" for role in ("user", "assistant", "system", "tool")},
}
"""Columns that follow from other rows: where one of those is lost, they change with it, and nothing else tells."""

ADOPTED = "keptd"
"""Who begins a session for messages whose own is lost."""


class Region(NamedTuple):
    """A part of a file: where it is damaged, from `begin` up to `end`."""

    name: str
    file: str
    begin: int
    end: int


@dataclass(slots=True)
class Outcome:
    """What came of one damage."""

    detected: str = "harmless"
    wrong: list[str] = field(default_factory=list)
    """Answers that are neither right nor refused, and changes that no report names."""
    lost: int = 0
    older: int = 0
    salvaged: int = 0
    restored: int = 0
    report: Report | None = None


class Sample:
    """A home as a person's, made once: `clean` ended properly, `crashed` has its last commits in the log, `backup` is
    from
    the middle of its life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clean, self.crashed, self.backup = folder / "clean", folder / "crashed", folder / "backup.db"
        for made in (self.clean, self.crashed):
            made.mkdir(parents=True)
        live = folder / "live"
        live.mkdir()
        rooms = Rooms(live, DOMAINS)
        rooms.writer.pragma("synchronous", "OFF")
        _live(rooms, range(KEYS), Random(1))
        _checkpoint(rooms.writer)
        with closing(apsw.Connection(str(self.backup))) as copied, copied.backup("main", rooms.writer, "main") as steps:
            steps.step()
        _live(rooms, range(KEYS // 2, KEYS + KEYS // 4), Random(2))
        _free_pages(rooms)
        _checkpoint(rooms.writer)
        shutil.copy(live / "kept.db", self.clean)
        self.at_crash = dump(self.clean / "kept.db")
        _live(rooms, range(20, 40), Random(3))
        for name in ("kept.db", "kept.db-wal"):
            shutil.copy(live / name, self.crashed)
        rooms.close()
        self.in_backup = dump(self.backup)
        self.truth = {self.clean.name: self.at_crash, self.crashed.name: dump_copy(self.crashed, folder / "whole")}
        self.answers = {"clean": ask(self.clean / "kept.db"), "crashed": ask(folder / "whole" / "kept.db")}

    def good_backups(self, folder: Path) -> Iterable[Backup]:
        """The one backup, unpacked."""
        copied = folder / "unpacked.db"
        shutil.copy(self.backup, copied)
        return [Backup("20260101T000000Z-00000000", copied)]

    def regions(self) -> list[Region]:
        """All kinds of places, several of each."""
        found = list(_pages(self.clean / "kept.db"))
        log = self.crashed / "kept.db-wal"
        found.append(Region("log: header", "kept.db-wal", 0, wal.HEADER))
        frames = wal.extent(log) or 0
        for number in sorted({0, 1, frames // 3, frames // 2, frames - 2, frames - 1}):
            at = wal.HEADER + number * wal.FRAME
            place = "last commit" if number >= frames - 2 else "earlier commit"
            found.append(Region(f"log: frame header, {place}", "kept.db-wal", at, at + 24))
            found.append(Region(f"log: page, {place}", "kept.db-wal", at + 24, at + wal.FRAME))
        return found


def _live(rooms: Rooms, numbers: Iterable[int], random: Random) -> None:
    """Some days of use: values short and long, changed and deleted; decisions, errors, actions, components."""
    for number in numbers:
        key = f"key {number}"
        text = " ".join(random.choices(WORDS, k=5)) * (random.choice((40, 400)) if number % 23 == 0 else 1)
        value = {"text": text, "number": number}
        rooms(SetMemory(key=key, value=value, scope="global" if number % 3 else "p-1", tags=(WORDS[number % 8],)))
        rooms.clock.advance(1)
        if number % 5 == 0:
            rooms(SetMemory(key=key, value={"again": text}, scope="global" if number % 3 else "p-1"))
        if number % 7 == 0:
            rooms(DeleteMemory(key=key, scope="global" if number % 3 else "p-1"))
        if number % 6 == 0:
            rooms(LogAction(action=f"did {number}", details={"why": text}))
        if number % 9 == 0:
            made = rooms(AddDecision(decision=f"decide {number}", reasoning=text, contradicts=(key,)))
            if number % 2:
                rooms(ResolveDecision(id=made.id, outcome=f"so be it {number}"))
        if number % 10 == 0:
            rooms(RecordError(error=f"broke {number}", context={"text": text}))
            rooms(SetComponent(name=f"part {number % 40}", status="operational", metadata={"n": number}))
        if number % 8 == 0:
            _talk(rooms, number, text)


def _talk(rooms: Rooms, number: int, text: str) -> None:
    """A conversation; some are deleted, and of those some for good."""
    made = rooms(CreateSession(title=f"talk {number}", tags=(WORDS[number % 8],), metadata={"text": text}))
    said = tuple(NewMessage(role="user", content=f"{number} {text}") for _ in range(3))
    rooms(SendMessage(session_id=made.id, messages=said))
    if number % 16 == 0:
        rooms(UpdateSession(id=made.id, summary=text[:1000]))
    if number % 24 == 0:
        rooms(DeleteSession(id=made.id))


def _free_pages(rooms: Rooms) -> None:
    """Leave some pages unused."""
    for number in range(3):
        rooms(SetComponent(name=f"large {number}", status="unknown", metadata={"text": "x" * 30_000}))
    for number in range(3):
        rooms(DeleteComponent(name=f"large {number}"))


def _checkpoint(db: apsw.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _pages(path: Path) -> Iterator[Region]:
    """The regions of a database file, by what SQLite says of its pages."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        kinds = {str(name): str(kind) for name, kind in db.execute("SELECT name, type FROM sqlite_schema")}
        listed = db.execute("SELECT name, pagetype, pageno FROM dbstat ORDER BY pageno")
        pages = [(str(name), str(form), int(str(number))) for name, form, number in listed]
        count = int(db.pragma("page_count"))
    yield Region("header", path.name, 0, 100)
    yield Region("schema: first page", path.name, 100, PAGE)
    yield Region("pointer map", path.name, PAGE, 2 * PAGE)
    for name, form, number in pages:
        if number == 1:
            continue
        what = "schema" if name == "sqlite_schema" else kinds.get(name, "index")
        if "_text_" in name or "_search_" in name:
            what = "text index"
        begin = (number - 1) * PAGE
        yield Region(f"{what}: {form}, {name}", path.name, begin, begin + PAGE)
    used = {number for _, _, number in pages} | {1, 2}
    for number in range(3, count + 1):
        if number not in used:
            yield Region("free page", path.name, (number - 1) * PAGE, number * PAGE)


def harm(home: Path, region: Region, kind: Kind, random: Random) -> str:
    """Flip a bit of a region, or turn all of it to zeros; says where."""
    path = home / region.file
    content = bytearray(path.read_bytes())
    if kind == "zeros":
        content[region.begin : region.end] = bytes(region.end - region.begin)
        where = f"{region.begin}..{region.end}"
    else:
        at, bit = random.randrange(region.begin, region.end), random.randrange(8)
        content[at] ^= 1 << bit
        where = f"byte {at}, bit {bit}"
    path.write_bytes(content)
    return where


def judge(sample: Sample, home: Path, origin: str, *, backup: bool = True) -> Outcome:
    """Start on a damaged home, ask everything, and where damage is met start again, as a daemon would be."""
    outcome = Outcome()
    clock = FakeClock()
    clock.advance(100_000_000)
    database = home / "kept.db"
    marker = Marker(home)
    if origin == "crashed":
        marker.set()
    backups = sample.good_backups if backup else lambda _folder: ()
    for attempt in ("at start", "while serving", "by the whole check"):
        start = recovery.at_start(database, SETS, DOMAINS, SMALL, clock, ACTOR, backups)
        if start.recovered is not None:
            outcome.detected = outcome.detected if attempt != "at start" else "at start"
            outcome.report = start.recovered
            _compare(sample, origin, database, start.recovered, outcome, backup=backup)
            return outcome
        if start.torn:
            outcome.detected = "last commit not whole"
            outcome.lost = sum(len(rows) for rows in sample.truth[origin].values()) - sum(
                len(rows) for rows in dump(database).values()
            )
            return outcome
        if attempt == "by the whole check":
            return outcome
        answers = ask(database)
        right = sample.answers[origin]
        wrong = [number for number, answer in enumerate(answers) if answer not in (None, right[number])]
        outcome.wrong += [f"answer {number}" for number in wrong]
        if None in answers:
            outcome.detected = "while serving"
            marker.damaged()
        elif recovery.examine_whole(database) is not None:
            outcome.detected = "by the whole check"
            marker.damaged()
        else:
            return outcome
    return outcome


def ask(database: Path) -> Answers:
    """Everything that can be asked, through the rooms' handlers, each time on a new connection's pages."""
    with closing(open_reader(database)) as db:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return [_answer(db, call) for call in _calls()]


def _calls() -> Iterator[Read[Any]]:
    for number in range(KEYS + KEYS // 4):
        yield GetMemory(key=f"key {number}", scope="global" if number % 3 else "p-1")
        if number % 5 == 0:
            yield MemoryHistory(key=f"key {number}", scope="global" if number % 3 else "p-1")
    yield ListMemories(limit=1000)
    yield ListMemories(limit=1000, order="priority")
    yield ListMemories(limit=1000, prefix="key 1")
    yield ListMemories(limit=1000, scope="p-1")
    yield ListMemories(limit=1000, category="general")
    for word in WORDS:
        yield ListMemories(limit=1000, tag=word)
        yield SearchMemories(query=word)
        yield SearchDecisions(query=word)
    yield from (ListActions(limit=1000), ListDecisions(limit=1000), ListErrors(limit=1000), ListComponents(limit=1000))
    yield ListDecisions(limit=1000, status="open")
    yield ListSessions(limit=1000)
    for word in WORDS:
        yield ListSessions(limit=1000, tag=word)


def _answer(db: apsw.Connection, call: Call[Any]) -> bytes | None:
    clock = FakeClock()
    try:
        reply = _encode(HANDLERS[type(call)](ReadCtx(db, clock, ACTOR, Config()), call))
    except NotFound:
        return b"not found"
    except FAULTS as fault:
        if not is_damage(fault):
            raise
        return None
    return None if b"\0" in reply else reply


Rows = dict[str, dict[str, tuple[Any, ...]]]


def dump(database: Path) -> Rows:
    """All rows by table and by what names them: an id, or the rowid."""
    found: Rows = {}
    with closing(apsw.Connection(str(database))) as db:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for table in TABLES:
            columns = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            columns = [name for name in columns if name not in COUNTED.get(str(table), ())]
            place = columns.index("id") if "id" in columns and table != "memory_history" else None
            found[table] = {
                str(row[0] if place is None else row[place + 1]): row[1:]
                for row in db.execute(f"SELECT rowid, {', '.join(map(str, columns))} FROM {table}")
            }
    return found


def dump_copy(home: Path, into: Path) -> Rows:
    """The same of a home that has a log, in a copy, which it leaves with everything in the database."""
    shutil.copytree(home, into)
    with closing(apsw.Connection(str(into / "kept.db"))) as db:
        _checkpoint(db)
    return dump(into / "kept.db")


def _compare(sample: Sample, origin: str, database: Path, report: Report, outcome: Outcome, *, backup: bool) -> None:
    """What a recovery left against what there was: every difference has to be in the report."""
    found, truth = dump(database), sample.truth[origin]
    told = {(one.entity, one.label): one.older for one in report.missing}
    doubtful = report.lost.partition(DOUBT)[2]
    outcome.salvaged, outcome.restored = sum(report.salvaged.values()), sum(report.restored.values())
    for table, rows in truth.items():
        for name in rows.keys() - found[table].keys():
            outcome.lost += 1
            if told.get((table, _label(truth, table, name))) is not False and table not in doubtful:
                outcome.wrong.append(f"{table} {name} is gone, and not in the report")
        for name in found[table].keys() & rows.keys():
            row = found[table][name]
            if row == rows[name]:
                continue
            outcome.older += 1
            if told.get((table, _label(truth, table, name))) is not True and table not in doubtful:
                outcome.wrong.append(f"{table} {name} is older, and not in the report")
            # A memory's place and version are not those of the backup, since it comes back as a later one.
            elif not backup or (table != "memory" and row != sample.in_backup[table].get(name)):
                outcome.wrong.append(f"{table} {name} was never like this")
        outcome.wrong += [
            f"{table} {name} has come back"
            for name in found[table].keys() - rows.keys()
            if (table, found[table][name][3]) != ("change", "recovery")
            and not (table == "session" and ADOPTED in found[table][name])
        ]
    _check_recovered(sample, origin, database, outcome)


def _check_recovered(sample: Sample, origin: str, database: Path, outcome: Outcome) -> None:
    """It is sound, and where nothing was lost it answers as before; but for searches, whose scores differ a little in a
    new index."""
    with closing(open_reader(database)) as db:
        if db.pragma("integrity_check") != "ok" or db.execute("PRAGMA foreign_key_check").fetchone():
            outcome.wrong.append("the recovered database is not sound")
    if not outcome.lost and not outcome.older:
        right = sample.answers[origin]
        outcome.wrong += [
            f"answer {number} after the recovery"
            for number, (call, answer) in enumerate(zip(_calls(), ask(database), strict=True))
            if answer != right[number] and not isinstance(call, SearchMemories | SearchDecisions)
        ]


def _label(truth: Rows, table: str, name: str) -> str:
    labels = [row[6] for row in truth["change"].values() if row[4] == table and row[5] == name]
    return str(labels[-1]) if labels else ""


__all__ = ["Kind", "Outcome", "Region", "Sample", "harm", "judge"]
