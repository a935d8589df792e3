"""A home with a real daemon in a process of its own, started by whichever client needs it first."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

import kept
import keptd
from kept.client import Client
from kept.paths import Paths, find
from keptd import config
from tests.faulty_vfs import DEADLINE

_PLACES = os.pathsep.join(str(Path(package.__path__[0]).parent) for package in (kept, keptd))


class Home:
    """One folder for everything (`KEPT_HOME`). `settings` are variables such as `KEPT_STORAGE_BATCH`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEPT_")}
        self.environ: Mapping[str, str] = {
            **inherited,
            "KEPT_HOME": str(folder),
            "KEPT_LOG_FORMAT": "json",
            # What jobs write when they like would make room and failures differ from run to run.
            **{setting.variable: "off" for name, setting in config.settings().items() if name.startswith("jobs.")},
            "PYTHONPATH": _PLACES,
            **settings,
        }
        self.paths: Paths = find(self.environ)

    def connect(self, client: str = "tester", *, patience: float = 60) -> Client:
        return kept.connect(client=client, environ=self.environ, patience=patience)

    def pid(self) -> int:
        """The process that has the home, as its lock names it; 0 for none."""
        try:
            return int(Path(self.paths.data_dir, "keptd.lock").read_text().partition("\n")[0] or 0)
        except FileNotFoundError:
            return 0

    def end(self, number: signal.Signals) -> None:
        """Send the daemon a signal that ends it, and wait until it has gone."""
        try:
            process = os.pidfd_open(self.pid())
        except (ProcessLookupError, ValueError, OSError):
            return
        try:
            signal.pidfd_send_signal(process, number)
            gone = select.poll()
            gone.register(process, select.POLLIN)
            assert gone.poll(DEADLINE * 1000)
        except ProcessLookupError:
            return
        finally:
            os.close(process)

    def log(self) -> list[str]:
        return Path(self.paths.log).read_text().splitlines()

    def starts(self) -> int:
        """How many daemons have been ready here."""
        return sum('"event":"ready"' in line for line in self.log())


@contextmanager
def home(folder: Path, **settings: str) -> Iterator[Home]:
    """A home whose daemon is killed in the end, whatever has happened."""
    made = Home(folder, **settings)
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)


@contextmanager
def stored(home: Home) -> Iterator[apsw.Connection]:
    """The database of a daemon that has ended: sound, with a change log without gaps."""
    db = apsw.Connection(home.paths.database)
    try:
        assert db.pragma("integrity_check") == "ok"
        seqs = [seq for (seq,) in db.execute("SELECT seq FROM change ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1))
        yield db
    finally:
        db.close()
