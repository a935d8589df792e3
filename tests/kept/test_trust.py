"""Which sockets are refused before anything is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import kept
from kept.trust import Untrusted, check_folder, check_peer, check_socket

from .scripted import environment, serving


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A trusted socket."""
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "keptd.sock"))
        listener.listen()
        yield folder / "keptd.sock"


def pretend(monkeypatch: pytest.MonkeyPatch, path: Path, uid: int) -> None:
    """Make `path` look like another user's (a test can't count on being root)."""
    lstat = os.lstat

    def changed(target: str) -> os.stat_result:
        found = lstat(target)
        return os.stat_result((*found[:4], uid, *found[5:])) if target == str(path) else found

    monkeypatch.setattr(os, "lstat", changed)


def test_a_socket_of_ours_in_a_folder_of_ours_is_trusted(place: Path) -> None:
    check_socket(str(place))


def test_a_missing_socket_or_folder_is_no_matter_of_trust(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for path in (tmp_path / "none.sock", tmp_path / "none" / "none.sock"):
        with pytest.raises(FileNotFoundError):
            check_socket(str(path))


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_write_to_is_refused(place: Path, mode: int) -> None:
    place.parent.chmod(mode)
    with pytest.raises(Untrusted, match="chmod 700"):
        check_socket(str(place))


@pytest.mark.parametrize(("name", "mode"), [("shared", 0o777), ("run", 0o1777), ("tmp", 0o1777)])
def test_nobody_is_told_to_close_a_folder_that_is_not_kepts_own(tmp_path: Path, name: str, mode: int) -> None:
    folder = tmp_path / name
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(Untrusted) as refused:
        check_folder(str(folder))
    assert "chmod" not in str(refused.value)
    assert "KEPT_SOCKET" in str(refused.value)


def test_a_folder_that_is_a_symlink_or_a_file_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(place.parent)
    (tmp_path / "file").touch()
    with pytest.raises(Untrusted, match="symbolic link"):
        check_socket(str(tmp_path / "link" / "keptd.sock"))
    with pytest.raises(Untrusted, match="not a folder"):
        check_folder(str(tmp_path / "file"))


def test_a_socket_that_is_a_symlink_is_refused(place: Path) -> None:
    link = place.with_name("link.sock")
    link.symlink_to(place)
    with pytest.raises(Untrusted, match="symbolic link"):
        check_socket(str(link))


def test_a_regular_file_is_refused(place: Path) -> None:
    file = place.with_name("file.sock")
    file.touch()
    with pytest.raises(Untrusted, match="no socket"):
        check_socket(str(file))


def test_another_users_folder_or_socket_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (place.parent, place):
        with monkeypatch.context() as patch:
            pretend(patch, path, os.geteuid() + 1)
            with pytest.raises(Untrusted, match="another user"):
                check_socket(str(path if path == place else place))


def test_a_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=r"has 120 bytes.*107"):
        check_socket("/" + "x" * 119)


def test_a_peer_of_another_uid_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        check_peer(connection)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(Untrusted, match="another user"):
            check_peer(connection)


def test_a_client_sends_nothing_to_what_it_does_not_trust(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.path.parent.chmod(0o777)
        with pytest.raises(Untrusted):
            kept.connect("tester", environ=environment(tmp_path))
        assert server.connections == 0
        assert server.requests == []
