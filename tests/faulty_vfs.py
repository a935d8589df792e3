"""A disk for tests: an SQLite VFS over the default one that fails, or waits, where a test says so, and that records
what was done to it, so that a test can have the files as a power cut at any moment would have left them.

What is modelled: files are inodes, apart from their names; a write is durable after the next sync of its file, a name
after the next sync of the folder. A sync that fails may have lost what it was to write, and no later sync brings that
back (what Linux does: the pages are marked clean). Nothing is really synced here, which keeps tests fast.

Pages of a database get the checksums that kept's own file system gives them, so that what a power cut leaves can be
read with these compared.

The shared memory (`-shm`) is no part of it, as it does not outlive a power cut. Memory-mapped reads are none either:
apsw's files offer no xFetch, so that SQLite reads through xRead whatever `mmap_size` says.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from stat import S_ISDIR
from typing import TYPE_CHECKING, Literal, NamedTuple

import apsw

from keptd.store.checksums import PAGE, RESERVED, checksum, reserve

if TYPE_CHECKING:
    from typing_extensions import Buffer

SECTOR = 512
DEADLINE = 20.0
"""Seconds after which a test that waits for something has failed."""

_LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

Operation = Literal["write", "sync", "truncate"]
Survival = Literal["dropped", "kept", "torn", "shuffled"]
"""What becomes of what was not synced: nothing reaches the disk; all of it; what came first, up to the middle of a
write; any of its sectors."""

SURVIVALS: tuple[Survival, ...] = ("dropped", "kept", "torn", "shuffled")

_numbers = itertools.count()


class Step(NamedTuple):
    """One thing that was done to the disk. `lost` is a sync that failed, `folder` a sync of the folder."""

    kind: Literal["create", "delete", "folder", "write", "truncate", "sync", "lost"]
    name: str
    inode: int = 0
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class _Fault:
    operation: Operation
    error: type[apsw.Error]
    file: str
    at: int
    times: int | None
    seen: int = 0

    def strikes(self, operation: Operation, name: str) -> bool:
        if operation != self.operation or not name.endswith(self.file):
            return False
        self.seen += 1
        return self.seen >= self.at and (self.times is None or self.seen < self.at + self.times)


@dataclass(slots=True)
class Gate:
    """Where an operation waits. `reached` is set when one has come; `open` lets it and all later ones pass."""

    operation: Operation
    file: str
    reached: threading.Event = field(default_factory=threading.Event)
    _opened: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Return when an operation waits at the gate."""
        assert self.reached.wait(DEADLINE)

    def open(self) -> None:
        self._opened.set()

    def hold(self, operation: Operation, name: str) -> None:
        if operation == self.operation and name.endswith(self.file):
            self.reached.set()
            self._opened.wait(DEADLINE)


class Disk(apsw.VFS):
    """The VFS. Give its `name` to whatever opens a database."""

    def __init__(self) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self.steps: list[Step] = []
        self.counts: dict[tuple[Operation, str], int] = {}
        self._faults: list[_Fault] = []
        self._gate: Gate | None = None
        self._inodes: dict[str, int] = {}
        self.reserved: dict[str, int] = {}
        self.frozen = threading.RLock()
        """While it is held, nothing on the disk changes."""
        super().__init__(self.name, "unix")

    def fail(
        self, operation: Operation, error: type[apsw.Error], *, file: str = "", at: int = 1, times: int | None = 1
    ) -> None:
        """Fail the `at`-th operation from now on files whose name ends so, and those after it: `times` in all, or,
        with None, until `heal`."""
        with self.frozen:
            self._faults.append(_Fault(operation, error, file, at, times))

    def heal(self) -> None:
        """Fail no more."""
        with self.frozen:
            self._faults.clear()

    def gate(self, operation: Operation, file: str = "") -> Gate:
        """Let the next such operation wait."""
        self._gate = Gate(operation, file)
        return self._gate

    def count(self, operation: Operation, file: str) -> int:
        """How many such operations there have been, failed ones included."""
        return sum(number for (done, name), number in self.counts.items() if done == operation and name.endswith(file))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None:
            return apsw.VFSFile("unix", name, flags)
        path = name if isinstance(name, str) else name.filename()
        with self.frozen:
            is_new = not os.path.exists(path)
            if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
                self.reserved[os.path.basename(path)] = reserve(Path(path)) or 0
            opened = _File(self, name, flags, os.path.basename(path))
            if is_new:
                inode = self._inodes[opened.short] = next(_numbers)
                self.steps.append(Step("create", opened.short, inode))
                opened.syncs_folder = bool(flags[0] & _LOGS)
        opened.inode = self._inodes.setdefault(opened.short, -1)
        return opened

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        with self.frozen:
            super().xDelete(filename, syncdir)
            self.steps.append(Step("delete", os.path.basename(filename)))
            if syncdir:
                self.steps.append(Step("folder", ""))

    def fsync(self, descriptor: int) -> None:
        """Stands in for `os.fsync`: what is synced without SQLite is the folder."""
        if S_ISDIR(os.fstat(descriptor).st_mode):
            self.record(Step("folder", ""))

    def excepthook(self, *_exception: object) -> bool:
        """An injected fault that SQLite did not pass on, as it does not from a rollback: nothing to report."""
        return True

    def begin(self, operation: Operation, name: str) -> type[apsw.Error] | None:
        """Wait where there is a gate; the error to raise, if it is to fail. Called by the files."""
        gate = self._gate
        if gate is not None:
            gate.hold(operation, name)
        with self.frozen:
            self.counts[operation, name] = self.counts.get((operation, name), 0) + 1
            struck = [fault.error for fault in self._faults if fault.strikes(operation, name)]
        return struck[0] if struck else None

    def record(self, *steps: Step) -> None:
        with self.frozen:
            self.steps.extend(steps)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename, flags: list[int], short: str) -> None:
        self.short = short
        self.inode = -1
        self.syncs_folder = False
        self._disk = disk
        self._is_database = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("unix", name, flags)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802
        error = self._disk.begin("write", self.short)
        whole = self._with_checksum(bytes(data), offset)
        # A failing disk takes a part of a write before it fails.
        written = whole if error is None else whole[: len(whole) // 2]
        if written:
            with self._disk.frozen:
                super().xWrite(written, offset)
                self._disk.record(Step("write", self.short, self.inode, offset, written))
        if error is not None:
            raise error("injected")

    def _with_checksum(self, page: bytes, offset: int) -> bytes:
        """What cksumvfs makes of a page of a database that has checksums. It can't lie on top of a VFS in Python."""
        if not self._is_database or len(page) != PAGE:
            return page
        if offset == 0:
            self._disk.reserved[self.short] = page[20]
        if self._disk.reserved.get(self.short) != RESERVED:
            return page
        return page[:-RESERVED] + checksum(page)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        if error := self._disk.begin("truncate", self.short):
            raise error("injected")
        with self._disk.frozen:
            super().xTruncate(newsize)
            self._disk.record(Step("truncate", self.short, self.inode, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        if error := self._disk.begin("sync", self.short):
            self._disk.record(Step("lost", self.short, self.inode))
            raise error("injected")
        self._disk.record(Step("sync", self.short, self.inode))
        if self.syncs_folder:
            self.syncs_folder = False
            self._disk.record(Step("folder", ""))

    def excepthook(self, *_exception: object) -> bool:
        return True


class _Inode:
    def __init__(self) -> None:
        self.content = bytearray()
        self.pending: list[Step] = []

    def settle(self, survival: Survival, random: Random) -> None:
        """Have the pending steps survive so, and forget them."""
        match survival:
            case "kept":
                self._apply(self.pending)
            case "torn":
                whole = random.randrange(len(self.pending) + 1)
                self._apply(self.pending[:whole])
                self._apply(_torn(self.pending[whole : whole + 1], random))
            case "shuffled":
                self._apply(step for step in _sectors(self.pending) if random.random() < 0.5)
            case "dropped":
                pass
        self.pending.clear()

    def _apply(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.kind == "truncate":
                del self.content[step.offset :]
                self.content.extend(bytes(step.offset - len(self.content)))
            else:
                self.content.extend(bytes(max(0, step.offset - len(self.content))))
                self.content[step.offset : step.offset + len(step.data)] = step.data


def _torn(steps: list[Step], random: Random) -> Iterator[Step]:
    for step in steps:
        pieces = list(_sectors([step]))
        yield from pieces[: random.randrange(len(pieces) + 1)]


def _sectors(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps with every write cut at the boundaries of sectors."""
    for step in steps:
        if step.kind == "truncate":
            yield step
            continue
        begin, end = step.offset, step.offset + len(step.data)
        while begin < end:
            stop = min(end, (begin // SECTOR + 1) * SECTOR)
            yield step._replace(offset=begin, data=step.data[begin - step.offset : stop - step.offset])
            begin = stop


def after_cut(steps: list[Step], survival: Survival, random: Random) -> dict[str, bytes]:
    """The files by name as they are after the power went off when `steps` had been done, which begin with the folder
    empty."""
    inodes: dict[int, _Inode] = {}
    names: dict[str, int] = {}
    pending: list[Step] = []
    for step in steps:
        match step.kind:
            case "create":
                inodes[step.inode] = _Inode()
                pending.append(step)
            case "delete":
                pending.append(step)
            case "folder":
                _rename(names, pending)
                pending.clear()
            case "sync":
                inodes[step.inode].settle("kept", random)
            case "lost":
                inodes[step.inode].settle(survival, random)
            case _:
                inodes[step.inode].pending.append(step)
    if survival == "kept":
        _rename(names, pending)
    elif survival != "dropped":
        _rename(names, pending[: random.randrange(len(pending) + 1)])
    for inode in inodes.values():
        inode.settle(survival, random)
    return {name: bytes(inodes[number].content) for name, number in names.items()}


def _rename(names: dict[str, int], pending: Iterable[Step]) -> None:
    for step in pending:
        if step.kind == "create":
            names[step.name] = step.inode
        else:
            names.pop(step.name, None)


def restore(files: dict[str, bytes], folder: Path) -> None:
    """Write the files into a folder that is made for them."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
