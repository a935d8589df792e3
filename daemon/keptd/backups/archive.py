"""The file format of a backup: a folder with `manifest.json`, `kept.db.zst`, and `files`, which are copies of the files
beside the database (`beside`).

`kept.db.zst` is the database, one Zstandard frame (RFC 8878). `manifest.json` is one JSON object in compact form,
`{"manifest": {...}, "sha256": "..."}`, where `sha256` is that of the bytes of the manifest, so that one flipped bit in
either file is found. What is found out later, that it was checked, is in a file beside them (`check.json`), since these
two never change.

Everything streams: neither making nor unpacking holds more than a few megabytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from kept.wire.backup import Kind

from .. import zstd
from .work import PIECE, Work

FORMAT = 2
"""Raised with any change to the manifest or the archive. Format 1 had no files."""

MANIFEST = "manifest.json"
ARCHIVE = "kept.db.zst"

BESIDE = re.compile("^[a-z_]+/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$")
"""The names of files beside the database."""

_LEVEL = 3
_WINDOW_LOG = 23
"""The largest window that is accepted, as a power of two; level 3 uses 2 MiB. It bounds the memory of unpacking."""

_RESERVE_BYTES = 32 * 1024 * 1024
_RESERVE_SHARE = 16

_MANIFEST_BYTES = 1024 * 1024
_SYNC_BYTES = 4 * PIECE


class BadBackup(Exception):
    """The backup can't be used. The text says why; it holds nothing of its content."""


class Migrated(Struct, frozen=True):
    """A migration that the database has."""

    name: str
    digest: str


class BesideFile(Struct, frozen=True):
    """A file beside the database, by its name below the data folder."""

    name: Annotated[str, Meta(pattern=BESIDE.pattern)]
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What is in a backup. Sizes are in bytes, hashes are SHA-256 in lower-case hexadecimal."""

    format: int
    kept: str
    """The version of kept that made it."""
    id: str
    kind: Kind
    label: str | None
    created_at: int
    """Microseconds since 1970 UTC."""
    schema: tuple[Migrated, ...]
    last_seq: int
    tables: dict[str, int]
    """Rows by table; -1 for one that could not be read, as in a damaged database that was kept as it was."""
    rows: int
    """Rows of what people put in: without indexes, receipts, and what the store notes for itself."""
    database_bytes: int
    database_sha256: str
    archive_bytes: int
    archive_sha256: str
    files: tuple[BesideFile, ...] | None = None
    """None where it was made in the format 1: then nothing is known of them."""


class _Sealed(Struct, frozen=True):
    manifest: Raw
    sha256: str


_encode = msgspec.json.Encoder().encode
_decode_sealed = msgspec.json.Decoder(_Sealed).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode


class Packed(NamedTuple):
    """Sizes and hashes of a database before and after compression."""

    database_bytes: int
    database_sha256: str
    archive_bytes: int
    archive_sha256: str


class Steady:
    """A new file that is brought to the disk piece by piece as it grows.

    One large sync at the end would hold up the syncs of everybody else's commits for as long as it takes.
    """

    def __init__(self, path: Path, *, read_soon: bool) -> None:
        """Raises `OSError`, also where the file exists."""
        self._read_soon = read_soon
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._unsynced = 0

    def write(self, data: bytes) -> None:
        """Append. Raises `OSError`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            self._flush()

    def close(self) -> None:
        """Bring the rest to the disk and close. Raises `OSError`, closed all the same."""
        try:
            self._flush()
        finally:
            os.close(self._file)

    def _flush(self) -> None:
        need_room(self._file)
        os.fdatasync(self._file)
        if not self._read_soon:
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        self._unsynced = 0


def need_room(place: Path | int, size: int = 0) -> None:
    """Raise `OSError` (ENOSPC) unless the disk of a path or descriptor has room for `size` bytes, and for what others
    will write meanwhile: a backup must not be what fills the disk."""
    room = os.statvfs(place)
    reserve = min(_RESERVE_BYTES, room.f_blocks * room.f_frsize // _RESERVE_SHARE)
    if room.f_bavail * room.f_frsize < size + reserve:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def steady(path: Path, *, read_soon: bool = False) -> Iterator[Steady]:
    """A new file, whole on the disk when the block ends without an exception. Unless it is `read_soon`, it takes up no
    memory of the kernel's that others could use."""
    file = Steady(path, read_soon=read_soon)
    try:
        yield file
    finally:
        file.close()


def pack(database: Path, folder: Path, work: Work) -> Packed:
    """Compress a database that nobody changes into `folder`. Raises `OSError` or `Stopped`."""
    total = database.stat().st_size
    compressor = zstd.ZstdCompressor(
        options={zstd.CompressionParameter.compression_level: _LEVEL, zstd.CompressionParameter.checksum_flag: 1}
    )
    plain, packed = hashlib.sha256(), hashlib.sha256()
    done = size = 0
    with database.open("rb", buffering=0) as source, steady(folder / ARCHIVE) as target:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        ended = False
        while not ended:
            piece = source.read(PIECE)
            ended = not piece
            plain.update(piece)
            squeezed = compressor.flush() if ended else compressor.compress(piece)
            packed.update(squeezed)
            target.write(squeezed)
            os.posix_fadvise(source.fileno(), done, len(piece), os.POSIX_FADV_DONTNEED)
            done += len(piece)
            size += len(squeezed)
            work.tell(done, total, "compressing")
            work.tick()
    return Packed(done, plain.hexdigest(), size, packed.hexdigest())


def unpack(folder: Path, manifest: Manifest, database: Path, work: Work) -> None:
    """Write the database of a backup to a new file. Raises `BadBackup` unless both sizes and hashes are those of the
    manifest, and `OSError` or `Stopped`."""
    plain, packed = hashlib.sha256(), hashlib.sha256()
    size = done = 0
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    with _open(folder) as source, steady(database, read_soon=True) as target:
        while piece := source.read(PIECE):
            size += len(piece)
            packed.update(piece)
            for data in _decompressed(decompressor, piece):
                done += len(data)
                if done > manifest.database_bytes:
                    raise BadBackup(f"{ARCHIVE} holds more than the manifest says")
                plain.update(data)
                target.write(data)
                work.tell(done, manifest.database_bytes, "unpacking")
                work.tick()
    if not decompressor.eof or (done, size) != (manifest.database_bytes, manifest.archive_bytes):
        raise BadBackup(f"{ARCHIVE} is cut short")
    if (plain.hexdigest(), packed.hexdigest()) != (manifest.database_sha256, manifest.archive_sha256):
        raise BadBackup(f"{ARCHIVE} was changed after it was made")


def _open(folder: Path) -> FileIO:
    try:
        return (folder / ARCHIVE).open("rb", buffering=0)
    except FileNotFoundError:
        raise BadBackup(f"{ARCHIVE} is missing") from None


def _decompressed(decompressor: zstd.ZstdDecompressor, piece: bytes) -> Iterator[bytes]:
    try:
        while piece or not (decompressor.needs_input or decompressor.eof):
            if decompressor.eof:
                raise BadBackup(f"{ARCHIVE} has something behind its end")
            yield decompressor.decompress(piece, PIECE)
            piece = b""
    except zstd.ZstdError:
        raise BadBackup(f"{ARCHIVE} is damaged") from None
    if decompressor.unused_data:
        raise BadBackup(f"{ARCHIVE} has something behind its end")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`. Raises `OSError`."""
    with steady(folder / MANIFEST) as file:
        file.write(_seal(manifest))


def read_manifest(folder: Path) -> Manifest:
    """What `folder` says of itself. Raises `BadBackup`."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = file.read(_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise BadBackup(f"{MANIFEST} is missing") from None
    except OSError as fault:
        raise BadBackup(f"{MANIFEST} can't be read ({fault.strerror})") from None
    try:
        sealed = _decode_sealed(content)
        is_newer = msgspec.json.decode(sealed.manifest, type=_Format).format > FORMAT
        manifest = None if is_newer else _decode_manifest(sealed.manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadBackup(f"{MANIFEST} is damaged") from None
    if hashlib.sha256(bytes(sealed.manifest)).hexdigest() != sealed.sha256:
        raise BadBackup(f"{MANIFEST} is damaged")
    if manifest is None:
        raise BadBackup("it was made by a newer kept, in a format that this version does not know")
    return manifest


class _Format(Struct, frozen=True):
    format: int


def _seal(manifest: Manifest) -> bytes:
    encoded = _encode(manifest)
    return _encode(_Sealed(Raw(encoded), hashlib.sha256(encoded).hexdigest()))
