"""The archive: a tar file with a member for each table and each file beside the database, and a manifest at its end.

FORMAT.md describes it. Knows no table: a member is lines or bytes, and lines are compressed with zstd.
What is read is bounded by what the manifest says, and what the manifest says is checked against what is there.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
from msgspec import Struct

from ..zstd import CompressionParameter, ZstdError, ZstdFile

FORMAT = 1
"""Raised when an older kept could not read what is written."""

MANIFEST = "manifest.json"
MANIFEST_BYTES = 4 * 1024 * 1024
LINE_BYTES = 16 * 1024 * 1024
"""The longest line that is read."""

_CHUNK = 1024 * 1024
_TABLE = re.compile(r"tables/([a-z_][a-z0-9_]{0,63})\.jsonl\.zst")
_OPTIONS: dict[int, int] = {CompressionParameter.compression_level: 9, CompressionParameter.checksum_flag: 1}


FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9]{1,10}){1,3}(?<!\.new)")
"""The names of files that an archive carries from beside the database; what is being written ends in `.new`."""

_FILE = re.compile(rf"files/([a-z_]{{1,64}})/({FILE_NAME.pattern})")


class BadArchive(Exception):
    """The file is no whole archive of a form that is known. The text says why, and quotes nothing of it."""


class Member(Struct, frozen=True, kw_only=True):
    """A part of an archive: its size and SHA-256 as it stands there, and for a table its rows and unpacked bytes."""

    name: str
    bytes: int
    sha256: str
    rows: int | None = None
    unpacked: int | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive says of itself. `migrations` are the names and digests of those that made its tables."""

    format: int
    kept: str
    created_at: datetime
    last_seq: int
    migrations: tuple[tuple[str, str], ...]
    members: tuple[Member, ...]


_decode_manifest = msgspec.json.Decoder(Manifest).decode


def name_of(table: str) -> str:
    """The member that holds a table."""
    return f"tables/{table}.jsonl.zst"


def table_of(member: str) -> str | None:
    """The table that a member holds; None for any other."""
    found = _TABLE.fullmatch(member)
    return found[1] if found else None


def name_of_file(folder: str, name: str) -> str:
    """The member that holds a file of a folder below the data folder."""
    return f"files/{folder}/{name}"


def file_of(member: str) -> tuple[str, str]:
    """The folder and the name of the file that a member holds. Raises `BadArchive` for anything else."""
    found = _FILE.fullmatch(member)
    if found is None:
        raise BadArchive("it holds a part of no known kind")
    return found[1], found[2]


class Writing:
    """An archive in the making. Close it with `finish`."""

    def __init__(self, file: BinaryIO, at: datetime) -> None:
        self._file = file
        self._at = at
        self._members: list[Member] = []

    def lines(self, table: str, lines: Iterable[bytes]) -> int:
        """Add a table, line by line; how many there were."""
        start = self._begin()
        rows = unpacked = 0
        with ZstdFile(self._file, "w", options=_OPTIONS) as packed:
            packed.write(b"")  # Without any write there would be no frame, which is no zstd file.
            for line in lines:
                packed.write(line + b"\n")
                rows += 1
                unpacked += len(line) + 1
        self._end(name_of(table), start, rows, unpacked)
        return rows

    def copy(self, name: str, source: BinaryIO) -> None:
        """Add a file as it is."""
        start = self._begin()
        while chunk := source.read(_CHUNK):
            self._file.write(chunk)
        self._end(name, start, None, None)

    def finish(self, kept: str, last_seq: int, migrations: Iterable[tuple[str, str]]) -> Manifest:
        """Add the manifest, and the end."""
        manifest = Manifest(
            format=FORMAT,
            kept=kept,
            created_at=self._at,
            last_seq=last_seq,
            migrations=tuple(migrations),
            members=tuple(self._members),
        )
        start = self._begin()
        self._file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        self._end(MANIFEST, start, None, None)
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))
        return manifest

    def _begin(self) -> int:
        """Leave room for a header, whose size is known only behind the member; where that begins."""
        self._file.write(bytes(tarfile.BLOCKSIZE))
        return self._file.tell()

    def _end(self, name: str, start: int, rows: int | None, unpacked: int | None) -> None:
        end = self._file.tell()
        self._file.write(bytes(-end % tarfile.BLOCKSIZE))
        after = self._file.tell()
        header = tarfile.TarInfo(name)
        header.size, header.mode, header.mtime = end - start, 0o600, int(self._at.timestamp())
        self._file.seek(start - tarfile.BLOCKSIZE)
        self._file.write(header.tobuf(tarfile.GNU_FORMAT))
        digest = _digest(self._file, end - start)
        self._file.seek(after)
        self._members.append(Member(name=name, bytes=end - start, sha256=digest, rows=rows, unpacked=unpacked))


class Reading:
    """An archive that is open for reading: `with Reading(path) as archive`. Raises `BadArchive`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self._places = self._find()
            self.manifest = self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def check(self) -> Iterator[Member]:
        """Compare each member with the manifest; gives those that are right, one by one. Raises `BadArchive`."""
        for member in self.manifest.members:
            start, size = self._places[member.name]
            self._file.seek(start)
            if size != member.bytes or _digest(self._file, size) != member.sha256:
                raise BadArchive("a part of it is not what its manifest says")
            yield member

    def lines(self, member: Member) -> Iterator[bytes]:
        """The lines of a table, as many and as long as the manifest says. Raises `BadArchive`."""
        rows = unpacked = 0
        try:
            with ZstdFile(_Part(self._file, *self._places[member.name]), "r") as plain:
                while line := plain.readline(LINE_BYTES + 1):
                    rows += 1
                    unpacked += len(line)
                    if not line.endswith(b"\n") or unpacked > (member.unpacked or 0):
                        raise BadArchive("a table is longer than its manifest says")
                    yield line[:-1]
        except (ZstdError, EOFError):
            raise BadArchive("a table can't be unpacked") from None
        if (rows, unpacked) != (member.rows, member.unpacked):
            raise BadArchive("a table is shorter than its manifest says")

    def extract(self, member: Member, target: BinaryIO) -> None:
        """Write a member as it is to a file."""
        start, left = self._places[member.name]
        self._file.seek(start)
        while left:
            chunk = self._file.read(min(left, _CHUNK))
            target.write(chunk)
            left -= len(chunk)

    def _find(self) -> dict[str, tuple[int, int]]:
        """Where the members are; each is a plain file, and its name is there once."""
        places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                for entry in tar:
                    if not entry.isreg() or entry.name in places:
                        raise BadArchive("it holds more than plain files")
                    places[entry.name] = (entry.offset_data, entry.size)
        except tarfile.TarError:
            raise BadArchive("it is no tar file, or not all of one") from None
        return places

    def _read_manifest(self) -> Manifest:
        start, size = self._places.pop(MANIFEST, (0, 0))
        if not 0 < size <= MANIFEST_BYTES:
            raise BadArchive("it has no manifest")
        self._file.seek(start)
        text = self._file.read(size)
        try:
            version = msgspec.json.decode(text, type=dict[str, msgspec.Raw])["format"]
            if bytes(version) != str(FORMAT).encode():
                raise BadArchive("it has a format that this version does not know; a newer kept may")
            manifest = _decode_manifest(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            raise BadArchive("its manifest can't be read") from None
        if sorted(member.name for member in manifest.members) != sorted(self._places):
            raise BadArchive("its manifest names other parts than it has")
        return manifest


class _Part:
    """A stretch of a file as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._at = start
        self._end = start + size

    def read(self, size: int, /) -> bytes:
        left = self._end - self._at
        self._file.seek(self._at)
        chunk = self._file.read(min(size, left))
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        """The file belongs to somebody else."""

    def seekable(self) -> bool:
        return False

    def seek(self, place: int, /) -> int:
        raise OSError(f"no way to {place}")


def _digest(file: BinaryIO, size: int) -> str:
    """SHA-256 of the next `size` bytes."""
    digest = hashlib.sha256()
    while size:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            raise BadArchive("it ends too early")
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Of a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
