"""The home: kept's folders, and the lock that lets one daemon own them.

Refuses a folder that is a symlink or another user's, and a home that another daemon has. The lock is the operating
system's (flock), so that a daemon that was killed leaves none behind. Its file says whose it is: the pid on the first
line, the socket's path on the second, for those who find the home taken and look for its daemon at another place. Where
the daemon's standard error is the journal, the third says `journal`: nobody else can tell (`hardening`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

import anyio
import structlog

from kept.mounts import mount_of, refusal
from kept.paths import Paths

TAKEN_SECONDS = 60.0
"""How long a start waits for the daemon before it: for its jobs, its clients, its mirror, and the checkpoint."""

_TAKEN_PAUSE = 0.05
_WRITABLE_BY_OTHERS = 0o022
_ZEROS = memoryview(bytes(1024 * 1024))
_LOCK_BYTES = 4096

logger = structlog.get_logger(__name__)


class UnusableHome(Exception):
    """The daemon can't start here. The text says why, and what to do."""


class HomeTaken(UnusableHome):
    """Another daemon has the home, for now."""


class UnsoundHome(UnusableHome):
    """The home lies where nothing should be kept, which stays so until it is moved."""


def check_ground(paths: Paths) -> None:
    """Whether a home can be there at all. Raises `UnsoundHome`, before anything is made."""
    if why := refusal(paths.data_dir):
        raise UnsoundHome(why)


def prepare(paths: Paths) -> None:
    """Make what is missing, for the owner alone. Raises `UnusableHome`."""
    mount = mount_of(paths.data_dir)
    if doubt := mount.doubt():
        logger.warning("whether the home's file system can be relied on is not known", what=doubt, kind=mount.kind)
    for folder in (paths.data_dir, paths.state_dir, paths.runtime_dir):
        make_private(Path(folder))


def make_private(folder: Path) -> None:
    """Make a folder with mode 0700, and its parents. Raises `UnusableHome` for what is no folder of the caller's own,
    or lets others write."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not S_ISDIR(found.st_mode):
        raise UnusableHome(
            f"{folder} is no folder (perhaps a symbolic link). Move it away, or set KEPT_HOME to another place."
        )
    if found.st_uid != os.geteuid():
        raise UnusableHome(
            f"{folder} belongs to uid {found.st_uid}. Set KEPT_HOME or KEPT_SOCKET to a place of your own."
        )
    # A folder that was there may have other uses, so its mode is not changed; the files in it are the owner's alone.
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise UnusableHome(f"other users can write to {folder}. Run: chmod go-w {folder}")


def private(path: str, flags: int) -> int:
    """An opener for `open` that makes files for the owner alone, and follows no link."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: what was made, renamed or removed there. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file: on the disk, and whole or not there, whatever happens meanwhile. Raises `OSError`."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    with open(aside, "wb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    sync_folder(path.parent)


def size_of(path: str) -> int:
    """A file's size in bytes, 0 where there is none. Raises `OSError`."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def overwrite(file: Path) -> int:
    """Remove a file after writing zeros over what it held; returns its size in bytes, 0 where there is none.

    A link is removed, not followed. Where the file system keeps former blocks (copy on write, a journal of data,
    snapshots) or the disk does (flash), zeros go to other blocks: then only encryption of the disk helps.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:
        file.unlink()
        return 0
    try:
        size = left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, _ZEROS[:left])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    file.unlink(missing_ok=True)  # Somebody else may remove it as well.
    return size


class HomeLock:
    """Holds the home until it is released, or the process ends."""

    def __init__(self, data_dir: str, socket: str, *, in_journal: bool = False) -> None:
        """`socket` is where its daemon will listen, and `in_journal` whether its words go to the journal. Raises
        `HomeTaken` where another daemon has the home."""
        self._more = b"journal\n" if in_journal else b""
        self._path = Path(data_dir, "keptd.lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            whose = _holder(self._file)
            os.close(self._file)
            raise HomeTaken(
                f"another keptd{whose} has {data_dir}. Use it, or end it with `kept daemon stop`."
            ) from None
        self.name(socket)

    def name(self, socket: str) -> None:
        """Say where its daemon listens. Who reads it at that moment gets the former path, or this one whole."""
        text = b"%d\n%s\n%s" % (os.getpid(), os.fsencode(socket), self._more)
        try:
            os.pwrite(self._file, text, 0)
            os.ftruncate(self._file, len(text))
        except OSError as fault:
            logger.warning("the lock could not say where the new socket is", reason=str(fault))

    def in_place(self) -> bool:
        """Whether the lock is still the file at its path. Where the home was removed, another daemon may have begun
        one there. While it is held its inode is in use, so that no other file can have the same."""
        return is_at(self._path, identity(self._file))

    def release(self) -> None:
        """Let another daemon have the home."""
        os.close(self._file)


async def in_turn(take: Callable[[], HomeLock], waiting: Callable[[], None]) -> HomeLock:
    """Have the home as soon as the daemon before has let go of it: for a start behind a socket at which who comes
    meanwhile waits. `waiting` is called as long as it takes. Raises `HomeTaken` where that is `TAKEN_SECONDS`."""
    end = time.monotonic() + TAKEN_SECONDS
    while True:
        try:
            return take()
        except HomeTaken:
            if time.monotonic() >= end:
                raise
        waiting()
        await anyio.sleep(_TAKEN_PAUSE)


def identity(file: int | Path) -> tuple[int, int]:
    """The device and inode of an open file, or of what lies at a path (a link is not followed)."""
    found = file.lstat() if isinstance(file, Path) else os.fstat(file)
    return found.st_dev, found.st_ino


def is_at(path: Path, expected: tuple[int, int]) -> bool:
    """Whether what lies at the path is still the same. Where that can't be told, as on a failing disk, it is."""
    try:
        return identity(path) == expected
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _holder(file: int) -> str:
    """Who has the lock, as its file says: in parentheses, or nothing while a daemon is about to write it."""
    pid, _, rest = os.pread(file, _LOCK_BYTES, 0).partition(b"\n")
    if not pid.isdigit():
        return ""
    socket = os.fsdecode(rest.partition(b"\n")[0])
    at = f", at {socket}" if socket.isprintable() and socket else ""
    return f" (pid {pid.decode()}{at})"
