"""The home's lock: who has it, where its daemon listens, and what happens when the home is taken away under it. And
the small files in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from keptd import supervisor
from keptd.home import HomeLock, HomeTaken, write_whole
from tests.harness import running

LONG = "/x" * 40


def test_the_lock_names_its_process_and_its_socket(tmp_path: Path) -> None:
    lock = HomeLock(str(tmp_path), LONG)
    assert (tmp_path / "keptd.lock").read_text() == f"{os.getpid()}\n{LONG}\n"
    with pytest.raises(HomeTaken) as refused:
        HomeLock(str(tmp_path), "/another")
    assert f"(pid {os.getpid()}, at {LONG})" in str(refused.value)
    lock.release()
    HomeLock(str(tmp_path), "/another").release()
    assert (tmp_path / "keptd.lock").read_text() == f"{os.getpid()}\n/another\n"


@pytest.mark.parametrize("content", ["", "no pid\n/run/x\n", "x" * 9000])
def test_a_lock_that_says_nothing_yet_is_taken_all_the_same(tmp_path: Path, content: str) -> None:
    lock = HomeLock(str(tmp_path), LONG)
    (tmp_path / "keptd.lock").write_text(content)
    with pytest.raises(HomeTaken) as refused:
        HomeLock(str(tmp_path), "/another")
    assert "(" not in str(refused.value).replace(str(tmp_path), "")
    lock.release()


def test_a_lock_whose_file_is_gone_or_another_is_no_longer_in_place(tmp_path: Path) -> None:
    lock = HomeLock(str(tmp_path), LONG)
    assert lock.in_place()
    (tmp_path / "keptd.lock").unlink()
    assert not lock.in_place()
    successor = HomeLock(str(tmp_path), LONG)
    assert (lock.in_place(), successor.in_place()) == (False, True)
    lock.release()
    successor.release()


def begin_anew(home: Path) -> None:
    # Moved away first: the daemon may be writing to it at this moment.
    gone = home.with_name(f"{home.name}-gone")
    home.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    home.mkdir(mode=0o700)


@pytest.mark.anyio
async def test_a_daemon_whose_home_was_removed_ends(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HOME_SECONDS", 0.001)
    async with running(home) as daemon:
        os.unlink(home / "keptd.lock")
        await daemon.until("it ends", daemon.supervisor._stopping.is_set)


@pytest.mark.anyio
async def test_a_daemon_whose_home_was_removed_leaves_its_successors_socket_and_files_alone(home: Path) -> None:
    async with running(home, mirror__enabled="true", mirror__interval_seconds="60") as first:
        peer = await first.connect()
        await peer.result("memory.set", key="early", value=1)
        await first.until("it is mirrored", (home / "current" / "state.json").exists)
        await peer.result("memory.set", key="late", value=1)
        await peer.close()
        begin_anew(home)
        async with running(home) as second:
            first.supervisor.stop()
            await second.until("the first one's end", lambda: '"stopped"' in second.log())
            assert not (home / "current").exists()
            await (await second.connect()).is_served()


def test_a_small_file_is_replaced_whole_whatever_a_crash_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    file.write_bytes(b"former")
    (tmp_path / ".check.json.new").write_bytes(b"the longer beginning of a file that a crash cut off")
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o077 == 0
    assert os.listdir(tmp_path) == ["check.json"]


def test_a_small_file_that_can_not_be_written_leaves_the_former_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "check.json"
    file.write_bytes(b"former")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"former"
