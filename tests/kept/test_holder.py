"""What a lock file is believed to say about a home's daemon."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kept.holder import elsewhere, has_home, holder, lock_of
from kept.paths import Paths, find

from .scripted import environment


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A trusted socket."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        yield str(folder / "s")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "home").mkdir()
    return find({"KEPT_HOME": str(tmp_path / "home")})


def write(paths: Paths, text: str) -> None:
    Path(lock_of(paths.data_dir)).write_text(text)


def test_the_lock_says_who_has_the_home_and_where_it_serves(paths: Paths, served: str) -> None:
    write(paths, f"12\n{served}\n")
    assert holder(paths.data_dir) == (12, served)
    assert elsewhere(paths, {}) == served


@pytest.mark.parametrize(
    "text", ["", "12\n", "12\nrelative\n", "x\n/s\n", "12\n/a\0b\n", "-1\n/s\n", f"{'1' * 11}\n/s\n", "\n/s\n"]
)
def test_a_lock_that_says_something_else_says_nothing(paths: Paths, text: str) -> None:
    write(paths, text)
    assert holder(paths.data_dir) is None


def test_a_lock_that_is_no_text_a_link_a_pipe_or_missing_says_nothing(paths: Paths, tmp_path: Path) -> None:
    lock = Path(lock_of(paths.data_dir))
    assert holder(paths.data_dir) is None
    lock.write_bytes(b"12\n/\xff\n")
    assert holder(paths.data_dir) is None
    lock.unlink()
    (tmp_path / "real").write_text("12\n/s\n")
    lock.symlink_to(tmp_path / "real")
    assert holder(paths.data_dir) is None
    lock.unlink()
    os.mkfifo(lock)
    assert holder(paths.data_dir) is None


def test_a_lock_of_another_user_says_nothing(paths: Paths, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(paths, f"12\n{served}\n")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert holder(paths.data_dir) is None


def test_a_socket_that_is_not_trusted_or_gone_is_not_elsewhere(paths: Paths, served: str) -> None:
    write(paths, f"12\n{served}\n")
    Path(served).parent.chmod(0o777)
    assert elsewhere(paths, {}) is None
    write(paths, "12\n/nonexistent/s\n")
    assert elsewhere(paths, {}) is None


def test_who_names_the_socket_means_that_one(paths: Paths, served: str, tmp_path: Path) -> None:
    write(paths, f"12\n{served}\n")
    assert elsewhere(paths, environment(tmp_path, KEPT_SOCKET=str(tmp_path / "named"))) is None


def test_a_daemon_has_its_home_while_it_holds_the_lock_and_is_the_one_that_wrote_it(paths: Paths) -> None:
    assert not has_home(paths.data_dir, 12)
    write(paths, "12\n/s\n")
    assert not has_home(paths.data_dir, 12)
    with open(lock_of(paths.data_dir)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert has_home(paths.data_dir, 12)
        assert not has_home(paths.data_dir, 13)
