"""The socket's place: for the owner alone, instead of a stale one, never of a live one or of something else."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from kept.paths import HOME_TAKEN, SOCKET_PATH_BYTES
from keptd.home import UnusableHome, make_private
from keptd.rpc.listen import UnusableSocket, listen
from tests.harness import Daemon, Peer, Process, patience, running

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files and processes")


@pytest.fixture
def path(home: Path) -> Path:
    return home / "s"


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_the_socket_is_for_its_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with listen(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.umask(0) == 0, "the umask is put back"
    finally:
        os.umask(before)


def test_a_stale_socket_is_replaced(path: Path) -> None:
    listen(path).close()
    assert not answers(path)
    with listen(path):
        assert answers(path)


def test_a_live_socket_is_left_alone(path: Path) -> None:
    with listen(path):
        with pytest.raises(UnusableSocket, match="another daemon"):
            listen(path)
        assert answers(path)


def test_a_live_socket_whose_backlog_is_full_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(3)]
        for client in waiting:
            client.connect_ex(str(path))
        with pytest.raises(UnusableSocket, match="another daemon"):
            listen(path)
        for client in waiting:
            client.close()
    assert path.exists()


def test_a_regular_file_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(UnusableSocket, match="no socket"):
        listen(path)
    assert path.read_text() == "mine"


def test_a_folder_is_left_alone(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UnusableSocket, match="no socket"):
        listen(path)


@pytest.mark.parametrize("target", ["nothing", "file", "socket"])
def test_a_symlink_is_left_alone_whatever_it_points_to(path: Path, target: str) -> None:
    aim = path.with_name(target)
    if target == "file":
        aim.write_text("mine")
    if target == "socket":
        listen(aim).close()
    path.symlink_to(aim)
    with pytest.raises(UnusableSocket, match="no socket"):
        listen(path)
    assert path.is_symlink()
    assert aim.exists() == (target != "nothing")


@as_root
def test_another_users_socket_is_left_alone(path: Path) -> None:
    listen(path).close()
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(UnusableSocket, match=f"uid {NOBODY}"):
        listen(path)
    assert path.exists()


@pytest.mark.parametrize(("size", "usable"), [(SOCKET_PATH_BYTES, True), (SOCKET_PATH_BYTES + 1, False), (120, False)])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_path_has_to_fit_in_bytes(home: Path, size: int, usable: bool, letter: str) -> None:
    room = size - len(bytes(home)) - 1
    name = letter * (room // len(letter.encode()))
    path = home / (name + "x" * (room - len(name.encode())))
    assert len(bytes(path)) == size
    if usable:
        listen(path).close()
        assert path.exists()
    else:
        with pytest.raises(UnusableSocket, match=rf"{size} bytes.*{SOCKET_PATH_BYTES}.*KEPT_SOCKET"):
            listen(path)


def test_a_runtime_folder_that_is_a_symlink_is_refused(home: Path) -> None:
    (home / "elsewhere").mkdir(mode=0o755)
    (home / "run").symlink_to(home / "elsewhere")
    with pytest.raises(UnusableHome, match="symbolic link"):
        make_private(home / "run")
    assert stat.S_IMODE((home / "elsewhere").stat().st_mode) == 0o755


@as_root
def test_a_runtime_folder_of_another_user_is_refused(home: Path) -> None:
    (home / "run").mkdir()
    os.chown(home / "run", NOBODY, NOBODY)
    with pytest.raises(UnusableHome, match=f"uid {NOBODY}"):
        make_private(home / "run")


@pytest.mark.anyio
async def test_the_folders_of_a_daemon_are_for_its_owner_alone(daemon: Daemon) -> None:
    for folder in (daemon.paths.data_dir, daemon.paths.runtime_dir):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    for file in (daemon.paths.socket, daemon.paths.log):
        assert stat.S_IMODE(os.stat(file).st_mode) & 0o077 == 0


def test_every_file_of_a_process_is_for_its_owner_alone(home: Path) -> None:
    with Process(home):
        found = {path.name: stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in home.rglob("*")}
    assert found.keys() >= {"run", "keptd.sock", "kept.db", "kept.db-wal", "keptd.lock"}
    assert not any(found.values()), found


TALK = """
import os, socket, sys
connection = socket.socket(socket.AF_UNIX)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
connection.connect(sys.argv[1])
try:
    connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\\n')
except BrokenPipeError:
    pass
try:
    while chunk := connection.recv(65536):
        sys.stdout.buffer.write(chunk)
except ConnectionResetError:
    pass
"""


@as_root
@pytest.mark.anyio
async def test_another_user_is_not_served_though_the_files_let_him_in(home: Any) -> None:
    async with running(home) as daemon:
        daemon.expected.add("refused another user")
        os.chmod(home, 0o711)
        os.chmod(daemon.paths.runtime_dir, 0o711)
        os.chmod(daemon.paths.socket, 0o666)
        with patience("another user's process"):
            done = await anyio.run_process([sys.executable, "-c", TALK, daemon.paths.socket])
        assert b"-32004" in done.stdout
        assert b"result" not in done.stdout
        assert f'"uid":{NOBODY}' in daemon.log()
        await (await daemon.connect()).is_served()


@pytest.mark.anyio
async def test_the_kernel_says_who_a_peer_is(peer: Peer) -> None:
    welcome = await peer.result("daemon.hello", client="tester")
    assert (welcome["actor"]["uid"], welcome["actor"]["pid"]) == (os.geteuid(), os.getpid())


def test_a_second_daemon_on_a_home_ends_at_once_and_says_whose_it_is(home: Path) -> None:
    with Process(home) as process:
        code, said = process.another()
        assert code == HOME_TAKEN
        assert said.startswith("keptd: another keptd")
        assert str(process.popen.pid) in said
        assert "Traceback" not in said
        with process.connect() as connection:
            connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n')
            assert b"result" in connection.recv(4096)


@pytest.mark.parametrize("fault", ["file", "symlink", "long"])
def test_a_daemon_that_can_not_listen_says_so_and_ends(home: Path, fault: str) -> None:
    socket_path = home / "run" / "keptd.sock"
    socket_path.parent.mkdir(mode=0o700)
    if fault == "file":
        socket_path.write_text("mine")
    elif fault == "symlink":
        socket_path.symlink_to(home / "nothing")
    else:
        socket_path = home / ("x" * 120)
    environ = {**os.environ, "KEPT_HOME": str(home), "KEPT_SOCKET": str(socket_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "keptd", "--set", "log.file=never"],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode in (1, 2)
    assert str(socket_path) in ended.stderr
    assert "Traceback" not in ended.stderr
