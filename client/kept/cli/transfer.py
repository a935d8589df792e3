"""Archives between the caller's files and the daemon, in parts: the caller's process opens the file, the daemon none.

A file is written aside and takes its name only when it is whole and its checksum is right.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Literal

from ..wire.data import (
    PART_BYTES,
    Archive,
    BeginUpload,
    DiscardArchive,
    ExportAll,
    ImportAll,
    Imported,
    ReadArchive,
    TransferId,
    WritePart,
)
from ..wire.errors import KeptError
from .surface import Caller, Surface, UsageError, the_caller
from .text import size

_CHUNK = 1024 * 1024


def fetch(file: str, call: Caller, surface: Surface) -> Archive:
    """Have an archive made, and write it to `file`, which must not exist. Raises `UsageError` for what can't be
    written."""
    with beside(file) as target:
        archive = call(ExportAll())
        try:
            digest = _download(archive, target, call, surface)
        finally:
            with suppress(KeptError):
                call(DiscardArchive(id=archive.id))
        if digest != archive.sha256:
            raise UsageError("what came is not what was made: its SHA-256 differs", "Repeat the command.")
    return archive


@contextmanager
def beside(file: str, *, replace: bool | None = None) -> Iterator[BinaryIO]:
    """What is written there is `file` at the end of the block, for the owner alone; after an error nothing is.

    Raises `UsageError` for what can't be written, and where the file exists, unless it is to be replaced; None where
    the command has no way to ask for that.
    """
    aside = f"{file}.part"
    with told(file):
        if os.path.isdir(file):
            raise UsageError("that is a folder", "Name the file that is to be written in it.")
        if not replace and os.path.lexists(file):
            ways = "move it away" if replace is None else "replace it with --force"
            raise UsageError("the file exists already", f"Give another name, or {ways}.")
        if os.path.lexists(aside):
            raise UsageError(
                f"{aside} exists already", "Another command is writing the same file, or was killed: then remove it."
            )
        target = open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")  # noqa: SIM115
    try:
        with target:
            yield target
            with told(file):
                target.flush()
                os.fsync(target.fileno())
        with told(file):
            if replace:
                os.replace(aside, file)
            else:
                # A link refuses to replace a file that has come into being meanwhile; a rename would not.
                os.link(aside, file)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(aside)


def send(file: str, on_conflict: Literal["refuse", "replace"], call: Caller, surface: Surface) -> Imported:
    """Send an archive from `file`, and have it imported. Raises `UsageError` for what can't be read."""
    with told(file), open(file, "rb") as source, delivered(source, call, surface) as upload_id:
        return call(ImportAll(id=upload_id, on_conflict=on_conflict))


@contextmanager
def delivered(source: BinaryIO, call: Caller, surface: Surface) -> Iterator[TransferId]:
    """Send a file that can be read twice; its id in the daemon, from where it is removed if the block fails."""
    whole = hashlib.sha256()
    total = 0
    while chunk := source.read(_CHUNK):
        whole.update(chunk)
        total += len(chunk)
    if not total:
        raise UsageError("the file is empty")
    source.seek(0)
    upload = call(BeginUpload(bytes=total, sha256=whole.hexdigest()))
    try:
        _upload(upload.id, total, source, call, surface)
        yield upload.id
    except BaseException:
        with suppress(KeptError):
            call(DiscardArchive(id=upload.id))
        raise


def _download(archive: Archive, target: BinaryIO, call: Caller, surface: Surface) -> str:
    digest = hashlib.sha256()
    offset = 0
    with the_caller(surface).drawing() as show:
        while offset < archive.bytes:
            data = base64.b64decode(call(ReadArchive(id=archive.id, offset=offset)).data)
            if not data:
                break
            with told("the file"):
                target.write(data)
            digest.update(data)
            offset += len(data)
            show(offset, archive.bytes, f"fetching {size(archive.bytes)}")
    return digest.hexdigest()


def _upload(name: TransferId, total: int, source: BinaryIO, call: Caller, surface: Surface) -> None:
    offset = 0
    with the_caller(surface).drawing() as show:
        while data := source.read(PART_BYTES):
            offset = call(WritePart(id=name, offset=offset, data=base64.b64encode(data).decode())).received
            show(offset, total, f"sending {size(total)}")


@contextmanager
def told(file: str) -> Iterator[None]:
    """Makes what a file can't do a `UsageError`."""
    try:
        yield
    except OSError as fault:
        raise UsageError(f"{file}: {fault.strerror}") from None
