"""The folder `exports`: archives on their way out and in, each under an id that the daemon made.

An archive on its way in is `<id>.part`, with what was announced of it in its name. What is left over goes after a day,
and at the start.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from kept.wire.data import TransferId, Upload
from kept.wire.errors import Conflict, NotFound, QuotaExceeded, StorageFull

from ..home import make_private, overwrite, private
from ..store import Store, replacing

FOLDER = "exports"
AT_ONCE = 8
"""Archives that may wait at a time."""

SPARE_BYTES = 16 * 1024 * 1024
"""Room that is left on the disk for everything else."""

DAY_SECONDS = 86_400
_INCOMING = re.compile(r"([0-9a-f]{32})-([0-9]+)-([0-9a-f]{64})\.part")


class Incoming(NamedTuple):
    """An archive on its way in: where it is, and what was announced of it."""

    path: Path
    id: TransferId
    bytes: int
    sha256: str

    @property
    def received(self) -> int:
        """How much has come."""
        return self.path.stat().st_size

    @property
    def upload(self) -> Upload:
        """As a caller sees it."""
        return Upload(id=self.id, received=self.received, bytes=self.bytes)


class Transfers:
    """The folder of one home."""

    def __init__(self, data_folder: Path) -> None:
        self.folder = data_folder / FOLDER

    def new(self) -> tuple[TransferId, Path]:
        """A fresh id, and where its archive is to be written. Raises `QuotaExceeded`."""
        make_private(self.folder)
        self.tidy(DAY_SECONDS)
        if len(os.listdir(self.folder)) >= AT_ONCE:
            raise QuotaExceeded(
                f"{AT_ONCE} archives wait already",
                hint="Remove one with data.discard; they go by themselves after a day.",
            )
        name = TransferId(secrets.token_hex(16))
        return name, self.folder / f"{name}.tar"

    def begin(self, size: int, sha256: str) -> Upload:
        """Make room for an archive that is to come. Raises `StorageFull` and `QuotaExceeded`."""
        name, path = self.new()
        # It is unpacked beside itself before it takes effect.
        if shutil.disk_usage(self.folder).free < 2 * size + SPARE_BYTES:
            raise StorageFull("the disk has no room for this archive and for unpacking it")
        incoming = Incoming(path.with_name(f"{name}-{size}-{sha256}.part"), name, size, sha256)
        open(incoming.path, "xb", opener=private).close()
        return incoming.upload

    def write(self, name: str, offset: int, data: bytes) -> Upload:
        """Add a part. Raises `NotFound`, and `Conflict` for a part that doesn't follow, or goes past the end."""
        incoming = self.incoming(name)
        received = incoming.received
        if offset != received:
            raise Conflict(f"the next part begins at {received}", hint="Send the parts in order.", received=received)
        if received + len(data) > incoming.bytes:
            raise Conflict(f"the archive was announced with {incoming.bytes} bytes", hint="Begin again with its size.")
        with incoming.path.open("ab") as file:
            file.write(data)
        return incoming.upload

    def incoming(self, name: str) -> Incoming:
        """An archive on its way in. Raises `NotFound`."""
        for path in self._of(name):
            if found := _INCOMING.fullmatch(path.name):
                return Incoming(path, TransferId(found[1]), int(found[2]), found[3])
        raise _missing()

    def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an archive on its way out. Raises `NotFound`."""
        try:
            with (self.folder / f"{name}.tar").open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            raise _missing() from None

    def discard(self, name: str) -> None:
        """Remove an archive. Raises `NotFound`."""
        found = self._of(name)
        if not found:
            raise _missing()
        for path in found:
            overwrite(path)

    def tidy(self, seconds: float) -> int:
        """Remove what nobody has touched for so long; how many that were."""
        now = time.time()
        old = [path for path in self._all() if now - path.stat().st_mtime >= seconds]
        for path in old:
            overwrite(path)
        return len(old)

    def _of(self, name: str) -> list[Path]:
        return [path for path in self._all() if path.name.startswith(name)]

    def _all(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.is_dir() else []


def settle(store: Store) -> None:
    """At the start: nobody fetches what was left over, and an import that a crash interrupted is settled."""
    Transfers(store.path.parent).tidy(-DAY_SECONDS)
    replacing.settle(store.path.parent, store.inline)


def _missing() -> NotFound:
    return NotFound("there is no such archive", hint="Archives are removed after a day, and when the daemon starts.")
