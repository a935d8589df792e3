"""Old actions: a file a month below `archives/`, `actions-2026-01.jsonl.zst`, one action a line under its place.

The table holds all actions from some place on, the archives those before it. Where a crash left some in both, the
table counts: what stands in an archive at or behind the table's oldest place is never shown, and cut off before more is
added. A month is that of `latest_at`, which never falls, so that the files follow each other in order of place even
where the clock was set back.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec
from msgspec import Raw, Struct

from ..clock import to_micros
from ..home import make_private, sync_folder
from .frames import DamagedArchive, Frames, write
from .listing import Row

FOLDER = "archives"
FRAMES_AT_ONCE = 2000
"""Frames that one page unpacks at most while it looks for actions that fit: then it ends early, with a cursor."""

_FILE = re.compile(r"actions-(\d{4})-(\d\d)\.jsonl\.zst")


class _Stored(Struct, frozen=True):
    id: str
    action: str
    details: Raw
    project: str | None
    session_id: str | None
    created_at: datetime
    actor: str


class Line(Struct, frozen=True):
    """An action under its place, as it stands in an archive."""

    seq: int
    action: _Stored


_decode = msgspec.json.Decoder(Line).decode


def folder_of(db: apsw.Connection) -> Path:
    """The archives' folder, next to the database. It may not exist."""
    return Path(db.filename).parent / FOLDER


def file_of(month: str) -> str:
    """The name of a month's file (`2026-01`)."""
    return f"actions-{month}.jsonl.zst"


def files(folder: Path) -> list[Path]:
    """The archives, oldest first."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if _FILE.fullmatch(name)]


class Walk:
    """Archived actions that fit, newest first, as rows of the table `action`.

    After it has unpacked `FRAMES_AT_ONCE` frames it ends, and `left_at` is the place to go on below.
    """

    def __init__(self, folder: Path, project: str | None, since: datetime | None) -> None:
        self._folder = folder
        self._project = project
        self._since = since
        self._left = FRAMES_AT_ONCE
        self.left_at: int | None = None

    def below(self, seq: int) -> Iterator[Row]:
        """Those whose place is below `seq`."""
        for path in reversed(files(self._folder)):
            if self._since is not None and _ends(path) <= self._since:
                return
            with Frames(path) as frames:
                for number in range(_frames_below(frames, seq) - 1, -1, -1):
                    if not self._left:
                        self.left_at = seq
                        return
                    self._left -= 1
                    lines = [_decode(line) for line in frames.lines(number)]
                    yield from (_row(line) for line in reversed(lines) if line.seq < seq and self._fits(line.action))
                    seq = min(seq, lines[0].seq)

    def _fits(self, action: _Stored) -> bool:
        return (self._project is None or action.project == self._project) and (
            self._since is None or action.created_at >= self._since
        )


def after(folder: Path, seq: int, end: int, limit: int) -> list[Row]:
    """Up to `limit` archived actions with a place above `seq` and below `end`, oldest first."""
    found: list[Row] = []
    for path in files(folder):
        with Frames(path) as frames:
            for number in range(max(0, _frames_below(frames, seq + 1) - 1), len(frames.table)):
                lines = map(_decode, frames.lines(number))
                found += [_row(line) for line in lines if seq < line.seq < end]
                if len(found) >= limit:
                    return found[:limit]
    return found


def append(folder: Path, month: str, lines: Iterable[bytes]) -> None:
    """Add lines behind what a month's file has; it is on the disk when this returns."""
    make_private(folder)
    path = folder / file_of(month)
    if path.exists():
        with Frames(path) as former:
            write(path, former, lines)
    else:
        write(path, None, lines)


def damaged(data_folder: Path) -> list[str]:
    """The archives that can't be read to their end, by their names below the data folder."""
    return [f"{FOLDER}/{path.name}" for path in files(data_folder / FOLDER) if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    try:
        with Frames(path) as frames:
            for number in range(len(frames.table)):
                for line in frames.lines(number):
                    _decode(line)
    except (DamagedArchive, OSError, msgspec.DecodeError):
        return False
    return True


def cut(folder: Path, start: int, has: Callable[[str], bool]) -> None:
    """Take out of the archives what has a place at or above `start`, the table's oldest.

    It is in the table as well after a crash; `has(id)` tells whether it is. Where it isn't (an older database was put
    in the place of the one that it came from), the file as it was stays in the folder under another name.
    """
    for path in reversed(files(folder)):
        with Frames(path) as frames:
            last = _decode(frames.lines(len(frames.table) - 1)[-1]) if frames.table else None
            if last is None or last.seq < start:
                return
            first = _decode(frames.lines(0)[0])
            if not all(has(line.action.id) for line in _from(frames, start)):
                os.link(path, _free_name(path))
            if first.seq < start:
                write(path, None, _before(frames, start))
            else:
                path.unlink()
                sync_folder(folder)


def _from(frames: Frames, start: int) -> Iterator[Line]:
    """The actions at or above a place."""
    for number in range(max(0, _frames_below(frames, start) - 1), len(frames.table)):
        yield from (line for line in map(_decode, frames.lines(number)) if line.seq >= start)


def _before(frames: Frames, start: int) -> Iterator[bytes]:
    """The lines of those below a place."""
    for number in range(_frames_below(frames, start)):
        yield from (line for line in frames.lines(number) if _decode(line).seq < start)


def _free_name(path: Path) -> Path:
    number = 1
    while (other := path.with_name(f"former-{number}-{path.name}")).exists():
        number += 1
    return other


def _frames_below(frames: Frames, seq: int) -> int:
    """How many frames begin below a place; the last of these may go past it."""
    return bisect_left(range(len(frames.table)), seq, key=lambda number: _decode(frames.lines(number)[0]).seq)


def _ends(path: Path) -> datetime:
    """When the month of an archive is over: each of its actions is older."""
    found = _FILE.fullmatch(path.name)
    assert found is not None
    year, month = int(found[1]), int(found[2])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _row(line: Line) -> Row:
    action = line.action
    return (
        line.seq,
        action.id,
        action.action,
        bytes(action.details),
        action.project,
        action.session_id,
        to_micros(action.created_at),
        action.actor,
    )
