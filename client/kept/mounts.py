"""File systems: on which one a path lies, and which can't hold what kept promises.

Owns the two lists, with the reasons, for the daemon, which starts on none of the first, and for `kept doctor`. Reads
/proc/self/mountinfo (proc_pid_mountinfo(5)) and opens nothing else. What can't be told counts as sound.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = "/proc/self/mountinfo"

WINDOWS = "a Windows drive"
NETWORK = "a network folder"
AROUND = "a folder of the machine around this one"

UNSOUND = {
    "drvfs": WINDOWS,
    "cifs": NETWORK,
    "smb2": NETWORK,
    "smb3": NETWORK,
    "smbfs": NETWORK,
    "afs": NETWORK,
    "fuse.sshfs": NETWORK,
    "fuse.rclone": NETWORK,
    "fuse.s3fs": NETWORK,
    "fuse.vmhgfs-fuse": AROUND,
    "prl_fs": AROUND,
    "vboxsf": AROUND,
    "vmhgfs": AROUND,
}
"""File systems on which an acknowledged write can be lost, or two daemons can have one home, however they are mounted:
a sync ends before the data is safe, or a lock holds on one machine only
(https://www.sqlite.org/howtocorrupt.html, sections 2 and 3)."""

DOUBTFUL = {
    "9p": "a folder of the machine around this one, or of a sandbox",
    "nfs": NETWORK,
    "nfs4": NETWORK,
    "virtiofs": AROUND,
}
"""File systems on which that depends on how the other side is set up. NFS syncs at its server and locks across
machines by default; some sandboxes have nothing but 9p, and it is as good there as what lies below it."""

IN_MEMORY = frozenset({"tmpfs", "ramfs"})

_OWN_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=flock"})
"""Options of nfs(5) with which a lock is not seen by other machines."""


class Mount:
    """Where a path lies. Immutable by custom; empty fields where that can't be told."""

    __slots__ = ("device", "kind", "options", "source")

    def __init__(self, kind: str = "", source: str = "", options: str = "", device: str = "") -> None:
        self.kind = kind
        """The type, such as `ext4`."""
        self.source = source
        self.options = options
        """Those of the file system itself, parted by commas."""
        self.device = device
        """Major and minor number: the same for two places on one file system."""

    def fault(self) -> str:
        """What people call it, where nothing should be kept on it; else nothing."""
        if self._is_windows():
            return WINDOWS
        if self.kind in {"nfs", "nfs4"} and _OWN_LOCKS & set(self.options.split(",")):
            return "a network folder whose locks hold on this machine only"
        return UNSOUND.get(self.kind, "")

    def doubt(self) -> str:
        """What people call it, where keeping something on it may be a mistake; else nothing."""
        return "" if self.fault() else DOUBTFUL.get(self.kind, "")

    def _is_windows(self) -> bool:
        """WSL2 mounts Windows drives as 9p, or by a setting as virtiofs, and says so in the source or the options."""
        if self.kind not in {"9p", "virtiofs"}:
            return False
        return self.source.lower().startswith("drvfs") or "aname=drvfs" in self.options or ":\\" in self.source


def mount_of(path: str, mounts: str | None = None) -> Mount:
    """The mount that `path` is on, or would be. `mounts` is the text of `MOUNTS`, which else is read.

    Of several mounts on one place the last holds.
    """
    real = os.path.realpath(path)
    best, found = "", Mount()
    for point, mount in _each(_read() if mounts is None else mounts):
        if _is_within(real, point) and len(point) >= len(best):
            best, found = point, mount
    return found


def refusal(data_dir: str) -> str:
    """Why no home may be at `data_dir`, and where to put it; nothing where one may."""
    mount = mount_of(data_dir)
    fault = mount.fault()
    if not fault:
        return ""
    return (
        f"{data_dir} lies on {fault} ({mount.kind}), where locks and syncs can't be relied on, so nothing is kept "
        "there. Set KEPT_HOME to a folder on this machine's own disk, such as ~/.kept; what is kept in the old place "
        "already can be copied there while no daemon runs (cp -a)."
    )


def _read() -> str:
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _each(mounts: str) -> Iterator[tuple[str, Mount]]:
    """Each place, and what is mounted there."""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(" "), [*right.split(" "), "", "", ""]
        if len(before) > 4 and after[0]:
            yield _unescaped(before[4]), Mount(after[0], _unescaped(after[1]), _unescaped(after[2]), before[2])


def _unescaped(text: str) -> str:
    """Space, tab, line feed and backslash stand as octal numbers."""
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text


def _is_within(path: str, folder: str) -> bool:
    return folder in ("/", path) or path.startswith(folder + "/")
