"""The home's folders and who may open what is in them, and the file system that they lie on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG

from ..holder import lock_of
from ..mounts import IN_MEMORY, mount_of
from ..paths import MARKER, QUARANTINE, REPORTS, Paths
from ..wire.maintenance import Finding
from .findings import ok, problem, quoted, warning

_OTHERS_WRITE = 0o022
_OTHERS = 0o077
_OWNER_READS_AND_WRITES = 0o600
_OWNER_ALL = 0o700

_INSTEAD = {"data folder": ", or set KEPT_HOME to the folder where your files are"}

_TAKE_ALONG = (
    "kept data export-all FILE takes everything along. Then set KEPT_HOME to a folder on this machine's own disk, "
    "such as ~/.kept, and kept data import-all FILE puts it there."
)
_COPY = (
    "Set KEPT_HOME to a folder on this machine's own disk, such as ~/.kept. If something is kept here already, copy "
    "all of the folder there first, while no daemon runs (cp -a)."
)


def look(paths: Paths, environ: Mapping[str, str]) -> list[Finding]:
    """All of it, in an order in which it can be set right. `environ` is what the paths were found in."""
    if not os.path.lexists(paths.data_dir):
        if (wrong_above := _above(paths.data_dir)) is not None:
            return [wrong_above]
        return [ok("folders", f"{paths.data_dir} is not there yet; the first start makes it"), _disk(paths.data_dir)]
    names = {paths.data_dir: "data"}
    names.setdefault(paths.state_dir, "state")
    if not environ.get("KEPT_SOCKET"):
        names.setdefault(paths.runtime_dir, "socket")
    wrong = [one for folder, name in names.items() if (one := _folder(folder, f"{name} folder")) is not None]
    if (data := [one for one in wrong if one.what == "data folder"]) and not is_readable(paths.data_dir):
        # Of what is below it nothing can be told.
        return data
    if data:
        return wrong
    within = {
        paths.backups: "backups folder",
        os.path.join(paths.data_dir, QUARANTINE): "quarantine",
        os.path.join(paths.data_dir, REPORTS): "reports folder",
    }
    wrong += [one for folder, name in within.items() if (one := _folder(folder, name)) is not None]
    wrong += _files(paths)
    return [*(wrong or [ok("folders", f"{paths.data_dir} is there, and yours alone to change")]), _disk(paths.data_dir)]


def is_readable(folder: str) -> bool:
    """Whether what is in a folder can be looked at."""
    return os.access(folder, os.R_OK | os.X_OK)


def _above(folder: str) -> Finding | None:
    """What keeps a folder that is not there from being made; None where nothing does."""
    parent = os.path.dirname(folder)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        step = "Set KEPT_HOME to a folder of your own, or move that away."
        return problem("data folder", f"{folder} can't be made, since {parent} is no folder", step)
    if not os.access(parent, os.W_OK | os.X_OK):
        step = f"Set KEPT_HOME to a folder of your own; ls -ld {quoted(parent)} shows whose that is."
        return problem("data folder", f"{folder} can't be made: you can't write to {parent}", step)
    return None


def _folder(folder: str, what: str) -> Finding | None:
    """What is wrong with it; None where nothing is."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return None
    except OSError as fault:
        return problem(
            what, f"{folder} can't be looked at: {fault.strerror}", f"ls -ld {quoted(os.path.dirname(folder))}"
        )
    if S_ISLNK(found.st_mode) or not S_ISDIR(found.st_mode):
        kind = "a symbolic link" if S_ISLNK(found.st_mode) else "a file"
        step = f"Move it away{_INSTEAD.get(what, '')}, and run kept doctor again."
        return problem(what, f"{folder} is {kind}, not a folder, and the daemon does not follow it", step)
    if found.st_uid != os.geteuid():
        step = "Run kept as that user, or set KEPT_HOME to a folder of your own."
        return problem(what, f"{folder} belongs to another user (uid {found.st_uid})", step)
    if found.st_mode & _OTHERS_WRITE:
        told = f"other users can write to {folder} (mode {S_IMODE(found.st_mode):03o}), so the daemon does not use it"
        return problem(what, told, f"chmod go-w {quoted(folder)}")
    if found.st_mode & _OWNER_ALL != _OWNER_ALL:
        told = f"you can't use {folder} yourself (mode {S_IMODE(found.st_mode):03o})"
        return problem(what, told, f"chmod u+rwx {quoted(folder)}")
    return None


def _files(paths: Paths) -> Iterator[Finding]:
    """What is wrong with the modes and owners of the files that everything depends on."""
    files = (paths.database, f"{paths.database}-wal", f"{paths.database}-shm", paths.log, paths.config_file)
    for path in (*files, lock_of(paths.data_dir), os.path.join(paths.data_dir, MARKER)):
        try:
            found = os.lstat(path)
        except OSError:
            continue
        mode = S_IMODE(found.st_mode)
        if not S_ISREG(found.st_mode):
            if path != paths.config_file:
                yield _of_another_kind(path, found.st_mode)
        elif found.st_uid != os.geteuid():
            told = f"{path} belongs to another user (uid {found.st_uid}), as after a start with sudo"
            yield problem("file modes", told, f"sudo chown {os.geteuid()} {quoted(path)}")
        elif path != paths.config_file and mode & _OWNER_READS_AND_WRITES != _OWNER_READS_AND_WRITES:
            yield problem(
                "file modes", f"{path} can't be read and written (mode {mode:03o})", f"chmod 600 {quoted(path)}"
            )
        elif path != paths.config_file and mode & _OTHERS:
            yield warning("file modes", f"other users may open {path} (mode {mode:03o})", f"chmod 600 {quoted(path)}")


def _of_another_kind(path: str, mode: int) -> Finding:
    if S_ISLNK(mode):
        step = (
            "Put the file that it points to in its place, then start the daemon; without that file, move the link away."
        )
        return problem("file modes", f"{path} is a symbolic link, which the daemon does not follow", step)
    return problem("file modes", f"{path} is no regular file", "Move it away, and start the daemon.")


def _disk(data_dir: str) -> Finding:
    """Whether the file system keeps what is written."""
    mount = mount_of(data_dir)
    if fault := mount.fault():
        told = f"{data_dir} lies on {fault} ({mount.kind}), where locks and syncs can't be relied on: no daemon starts"
        return problem("file system", told, _COPY)
    if doubt := mount.doubt():
        told = (
            f"{data_dir} lies on {doubt} ({mount.kind}): whether locks and syncs hold there depends on the other side"
        )
        return warning("file system", told, _TAKE_ALONG)
    if mount.kind in IN_MEMORY:
        told = f"{data_dir} lies in memory ({mount.kind}), and is gone when the machine restarts"
        return warning("file system", told, _TAKE_ALONG)
    if _is_read_only(data_dir):
        step = "Mount it for writing, or set KEPT_HOME to another place. A disk that fails is often made read-only."
        return problem("file system", f"{data_dir} is on a file system that is mounted read-only", step)
    return ok("file system", f"{mount.kind or 'unknown'}, mounted for writing")


def _is_read_only(path: str) -> bool:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
