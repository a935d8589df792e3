"""On which file system a path lies, and which can't hold a home: on made-up tables of mounts, as the kernel writes
them, since most of these file systems can't be mounted where the tests run."""

from __future__ import annotations

import pytest

from kept.mounts import Mount, mount_of

TABLE = r"""
22 1 8:1 / / rw - ext4 /dev/sda1 rw,discard
23 22 0:20 / /mnt/c rw,noatime shared:1 - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\134;uid=1000,trans=fd,rfd=5,wfd=5
24 22 0:21 / /mnt/with\040space rw - nfs4 server:/x rw
25 22 0:22 / /mnt/c/own rw - ext4 /dev/sdb rw
26 22 0:23 / /twice rw - ext4 /dev/sdc rw
27 26 0:24 / /twice rw - cifs //server/x rw
28 22 0:25 /run/user /run/user rw - tmpfs none rw
a line of no form
29 22 0:26 / /short -
"""


@pytest.mark.parametrize(
    ("path", "kind", "device"),
    [
        ("/srv/kept", "ext4", "8:1"),
        ("/mnt/c/Users/me/kept", "9p", "0:20"),
        ("/mnt/cc", "ext4", "8:1"),
        ("/mnt/with space/kept", "nfs4", "0:21"),
        ("/mnt/c/own/kept", "ext4", "0:22"),
        ("/twice", "cifs", "0:24"),
        ("/run/user/1000", "tmpfs", "0:25"),
        ("/short", "ext4", "8:1"),
    ],
)
def test_a_path_lies_on_the_nearest_mount(path: str, kind: str, device: str) -> None:
    mount = mount_of(path, TABLE)
    assert (mount.kind, mount.device) == (kind, device)


def test_where_it_can_not_be_told_nothing_is_wrong() -> None:
    mount = mount_of("/x", "")
    assert (mount.kind, mount.fault(), mount.doubt()) == ("", "", "")


@pytest.mark.parametrize(
    ("mount", "fault", "doubt"),
    [
        (mount_of("/mnt/c/kept", TABLE), "a Windows drive", False),
        (Mount("9p", "drvfs", "rw,aname=drvfs;path=D:\\"), "a Windows drive", False),
        (Mount("virtiofs", "drvfsC0", "rw"), "a Windows drive", False),
        (Mount("drvfs", "C:", "rw"), "a Windows drive", False),
        (Mount("9p", "none", "rw,trans=fd,rfd=3,wfd=3"), "", True),
        (Mount("virtiofs", "share", "rw"), "", True),
        (Mount("nfs4", "server:/home", "rw,vers=4.2,local_lock=none"), "", True),
        (Mount("nfs", "server:/home", "rw,vers=3,nolock"), "a network folder whose locks", False),
        (Mount("nfs", "server:/home", "rw,vers=3,local_lock=flock"), "a network folder whose locks", False),
        (Mount("cifs", "//server/x", "rw"), "a network folder", False),
        (Mount("fuse.sshfs", "me@server:", "rw"), "a network folder", False),
        (Mount("vboxsf", "share", "rw"), "a folder of the machine around", False),
        (Mount("ext4", "/dev/sda1", "rw"), "", False),
        (Mount("btrfs", "/dev/sda1", "rw"), "", False),
        (Mount("overlay", "overlay", "rw"), "", False),
    ],
)
def test_what_loses_writes_is_a_fault_and_what_may_is_a_doubt(mount: Mount, fault: str, doubt: bool) -> None:
    assert mount.fault().startswith(fault)
    assert bool(mount.fault()) == bool(fault)
    assert bool(mount.doubt()) == doubt
