"""A check of everything: in a worker thread, on a connection and a snapshot of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import apsw
import msgspec

from kept.paths import REPORTS
from kept.wire.maintenance import Checkup, Finding, Recovery, worst

from ..clock import Clock
from ..config import Config
from ..domain import Domain, SelfReport, Tell
from ..store import Store, checksums
from ..store.ballast import Ballast
from ..store.changes import last_at
from ..store.database import FAULTS, integrity, is_damage, ticking
from . import rules
from . import store as sql

_REPORTS = 100
_REPORT_BYTES = 1024 * 1024

_decode_recovery = msgspec.json.Decoder(Recovery).decode


@dataclass(frozen=True, slots=True)
class Checker:
    """What a check looks at: the database, the rooms whose indexes and files it has, what the daemon says of itself,
    the settings in force, and the time. Damage that it finds is heeded as that which a request meets: the next start
    recovers."""

    store: Store
    rooms: Sequence[Domain]
    reports: Sequence[SelfReport]
    config: Config
    clock: Clock
    settings: tuple[Finding, ...] = ()
    """On the settings as they are given now, where that is known."""

    def run(self, tell: Tell, *, quick: bool) -> Checkup:
        """Look at everything; where `quick`, at nothing that takes longer the more there is."""
        findings = [*self.settings] if quick else [*self.settings, *self._database(tell), self._files(tell)]
        with self.store.snapshot() as db:
            found, newest = sql.pages(db), last_at(db)
        path, size = self.store.path, self.config.storage.ballast_bytes
        findings.append(rules.checksums(has=checksums.reserve(path) == checksums.RESERVED))
        findings.append(rules.space(shutil.disk_usage(path.parent).free, found.bytes))
        findings.append(rules.reserve(Ballast(path, size).is_whole(), size))
        findings.append(rules.slack(found.free, found.pages))
        findings.append(rules.clock(newest, self.clock.now()))
        findings += map(rules.of_itself, self.reports)
        recoveries, unread = self._recoveries()
        if unread:
            findings.append(rules.unread_reports(unread))
        return Checkup(verdict=worst(findings), findings=tuple(findings), recoveries=recoveries)

    def _database(self, tell: Tell) -> list[Finding]:
        """In one snapshot. Where the structure is damaged, what stands on it is not looked at."""
        try:
            with self.store.snapshot() as db:
                damage = integrity(db, tell)
                if damage:
                    self.store.damage.found(f"the structure is damaged ({len(damage)} findings)")
                    return [rules.structure(damage)]
                with _telling(db, tell, "following references"):
                    broken = rules.references(sql.broken_references(db))
                indexes = [index for room in self.rooms for index in room.indexes]
                with _telling(db, tell, "comparing text indexes"):
                    unindexed = rules.search(sql.unindexed(db, indexes))
                return [rules.structure(()), broken, unindexed]
        except FAULTS as fault:
            if not is_damage(fault):
                raise
            return [rules.structure([str(fault)])]

    def _files(self, tell: Tell) -> Finding:
        tell(0, 0, "reading the archives")
        checks = [room.damaged_files for room in self.rooms if room.damaged_files is not None]
        damaged = [name for check in checks for name in check(self.store.path.parent)]
        if damaged:
            self.store.damage.found(f"{damaged[0]} can't be read to its end")
        return rules.files(damaged)

    def _recoveries(self) -> tuple[tuple[Recovery, ...], int]:
        """The reports that can be read, newest first, and how many can't."""
        found, unread = [], 0
        for file in sorted((self.store.path.parent / REPORTS).glob("*.json"))[-_REPORTS:]:
            try:
                with file.open("rb") as stream:
                    found.append(_decode_recovery(stream.read(_REPORT_BYTES)))
            except (OSError, msgspec.DecodeError):
                unread += 1
        return tuple(sorted(found, key=lambda report: report.at, reverse=True)), unread


def _telling(db: apsw.Connection, tell: Tell, text: str) -> AbstractContextManager[None]:
    """Say now and meanwhile what is being done, where nobody knows how far it is."""
    tell(0, 0, text)
    return ticking(db, partial(tell, 0, 0, text))
