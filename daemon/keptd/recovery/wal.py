"""SQLite's log, read without SQLite: which of its frames are sound. The format is
https://www.sqlite.org/fileformat2.html#walformat.

SQLite stops at the first frame whose checksum is wrong, and forgets what comes after: right for a commit that was
being written when the power went off, wrong for a bit that flipped in the middle, which would take acknowledged
commits with it. The two are told apart here: with `synchronous=FULL` all of a commit is on the disk before the next
begins, so a bad frame in any commit but the last is damage. Within one commit, frames come in the order of their
pages.

A frame's checksum goes on from that of the frame before, which is stored, so that each frame can be judged by itself;
and it covers so little besides the page that a flipped bit in a frame's header can be found by trying.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..store.checksums import PAGE, sums

HEADER = 32
FRAME = 24 + PAGE

SUSPECTS = 64
"""Most pages that are given up for one frame whose page number is lost. Where there are more, none is."""

_HEAD = FRAME - PAGE
_MAGIC = bytes.fromhex("377f0682")

_Sums = tuple[int, int]


@dataclass(slots=True)
class Log:
    """What a log holds: the newest committed content of pages by number, None where that is lost."""

    pages: dict[int, bytes | None] = field(default_factory=dict)
    count: int = 0
    """Pages of the database after the last commit; 0 where the log has none."""
    damaged: bool = False
    """Something of a commit that was on the disk is not as it was written."""
    torn: bool = False
    """The last commit is not whole: it was being written when the machine stopped, or is damaged."""


class _Frame(NamedTuple):
    page: int
    """0 where that is lost."""
    commit: int
    """The database's pages after the commit that the frame ends; 0 where it ends none."""
    content: bytes | None
    """None where that is lost."""
    is_mended: bool = False


def extent(path: Path) -> int | None:
    """How many frames the log has of its present round, sound or not; None where its header is not sound.

    Costs a microsecond for each frame.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
            if not header:
                return 0
            if len(header) < HEADER or not _is_header(header):
                return None
            last = 0
            for number in range((path.stat().st_size - HEADER) // FRAME):
                file.seek(HEADER + number * FRAME)
                if _is_of_round(file.read(_HEAD), header[16:24]):
                    last = number + 1
            return last
    except FileNotFoundError:
        return 0


def read(path: Path) -> Log:
    """All of a log. Costs 0.1 ms for each frame. Raises `OSError`."""
    log = Log()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return log
    if len(data) < HEADER + FRAME:
        return log
    log.damaged = not _is_header(data[:HEADER])
    *durable, last = _commits(_frames(data, data[HEADER + 8 : HEADER + 16] if log.damaged else data[16:24]))
    for commit in durable:
        log.damaged |= any(frame.content is None or frame.is_mended for frame in commit)
        _apply(log, commit)
    log.torn = any(frame.content is None for frame in last)
    # What a torn write leaves is not one bit away from what was meant.
    log.damaged |= any(frame.is_mended for frame in last)
    if last and last[-1].commit and not log.torn:
        _apply(log, last)
    return log


def _is_header(header: bytes) -> bool:
    if header[:3] != _MAGIC[:3] or header[3] & 0xFE != _MAGIC[3]:
        return False
    return sums(header[:24], order=">" if header[3] & 1 else "<") == struct.unpack(">2I", header[24:])


def _is_of_round(head: bytes, salts: bytes) -> bool:
    """Whether a frame belongs to the present round, or has lost what would tell; never true of an earlier one's."""
    return head[8:16] == salts or not any(head)


def _commits(frames: Iterable[_Frame]) -> list[list[_Frame]]:
    """The frames by commit; the last commit may be open, or empty."""
    commits: list[list[_Frame]] = [[]]
    for frame in frames:
        known = [before.page for before in commits[-1] if before.page]
        if known and frame.page and frame.page <= known[-1] and not commits[-1][-1].page:
            commits.append([])  # It is the lost frame before it that ended a commit.
        commits[-1].append(frame)
        if frame.commit:
            commits.append([])
    return commits if commits[-1] or len(commits) == 1 else commits[:-1]


def _frames(data: bytes, salts: bytes) -> Iterator[_Frame]:
    """The frames of the present round, which is marked by its salts."""
    order = ">" if sys.byteorder == "big" else "<"
    starts = list(range(HEADER, len(data) - FRAME + 1, FRAME))
    while starts and not _is_of_round(data[starts[-1] : starts[-1] + _HEAD], salts):
        starts.pop()
    seeds = {struct.unpack_from(">2I", data, 24), sums(data[:24], order=order)}
    for at in starts:
        head, stored = data[at : at + 8], struct.unpack_from(">2I", data, at + 16)
        content = data[at + 24 : at + FRAME]
        found = _mended(head, content, stored, seeds, order)
        seeds = {stored}
        if found is not None:
            mended, reached = found
            is_mended = mended != head or reached != stored or data[at + 8 : at + 16] != salts
            seeds.add(reached)
            page, commit = struct.unpack(">2I", mended)
            yield _Frame(page, commit, content, is_mended)
        elif data[at + 8 : at + 16] == salts:
            page, commit = struct.unpack(">2I", head)
            yield _Frame(page, commit, None)
        else:
            yield _Frame(0, 0, None)


def _mended(
    head: bytes, content: bytes, stored: _Sums, seeds: Iterable[_Sums], order: str
) -> tuple[bytes, _Sums] | None:
    """The frame's page and commit, and its checksum, with up to one flipped bit in either put right; None where the
    content itself is damaged."""
    for seed in seeds:
        reached = sums(head + content, seed, order)
        if (reached[0] ^ stored[0]).bit_count() + (reached[1] ^ stored[1]).bit_count() <= 1:
            return head, reached
    number = int.from_bytes(head, "big")
    for bit in range(64):
        other = (number ^ (1 << bit)).to_bytes(8, "big")
        for seed in seeds:
            if sums(other + content, seed, order) == stored:
                return other, stored
    return None


def _apply(log: Log, commit: list[_Frame]) -> None:
    own = {frame.page for frame in commit}
    for place, frame in enumerate(commit):
        if frame.page:
            log.pages[frame.page] = frame.content
            continue
        before = next((other.page for other in reversed(commit[:place]) if other.page), 0)
        after = next((other.page for other in commit[place:] if other.page), log.count + 1)
        suspects = set(range(before + 1, after)) - own
        # Too many would have to be given up for one that is lost; then the page's own checksum has to tell.
        if len(suspects) <= SUSPECTS:
            log.pages.update(dict.fromkeys(suspects))
    log.count = commit[-1].commit or log.count
