"""Starting the daemon: once, safely, and with its last words where it fails. The daemon is a stand-in."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kept
from kept.faults import NoDaemon, StartFailed
from kept.paths import Paths, find
from kept.start import serves, start
from kept.trust import Untrusted
from kept.wire.daemon import Ping
from keptd.notify import VARIABLES

from .scripted import environment, serving

# Serves one reply to a ping per line, after noting its pid and where it is.
DAEMON = """
import json, os, socket, sys, threading
from kept.paths import find
paths = find(os.environ)
os.makedirs(paths.data_dir, exist_ok=True)
with open(os.path.join(paths.data_dir, "started"), "a") as note:
    note.write(f"{os.getpid()} {os.getsid(0)} {os.environ.get('KEPT_LIMITS_BATCH')}\\n")
with_failure = os.environ.get("FAIL")
if sum(1 for _ in open(os.path.join(paths.data_dir, "started"))) <= int(os.environ.get("DAMAGED", 0)):
    print("stopping for a recovery", file=sys.stderr)
    sys.exit(70)
if sum(1 for _ in open(os.path.join(paths.data_dir, "started"))) <= int(os.environ.get("TAKEN", 0)):
    sys.exit(75)
if with_failure:
    print(with_failure, file=sys.stderr)
    sys.exit(3)
listener = socket.socket(socket.AF_UNIX)
listener.bind(paths.socket)
listener.listen(64)
def serve(connection):
    for line in connection.makefile("rb"):
        pong = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"time": "2026-01-01T00:00:00Z"}}
        connection.sendall(json.dumps(pong).encode() + b"\\n")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Home:
    """A home whose `python -m keptd` is the stand-in."""

    def __init__(self, folder: Path) -> None:
        modules = folder / "modules"
        modules.mkdir()
        (modules / "keptd.py").write_text(DAEMON)
        client = str(Path(kept.__file__).parents[1])
        self.environ = environment(folder / "home", PYTHONPATH=f"{modules}:{client}")
        self.paths: Paths = find(self.environ)

    @property
    def started(self) -> list[list[str]]:
        note = Path(self.paths.data_dir, "started")
        return [line.split() for line in note.read_text().splitlines()] if note.exists() else []

    def start(self, **environ: str) -> None:
        start(self.paths, environ={**self.environ, **environ})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    for pid, *_ in made.started:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_a_client_starts_the_daemon_that_it_needs(home: Home) -> None:
    with kept.connect(environ=home.environ) as client:
        assert client.call(Ping()).time.year == 2026
    assert len(home.started) == 1


def test_a_killed_daemon_is_started_again_by_the_next_call(home: Home) -> None:
    with kept.connect(environ=home.environ) as client:
        client.call(Ping())
        os.kill(int(home.started[0][0]), signal.SIGKILL)
        Path(home.paths.socket).unlink()
        client.call(Ping())
    assert len(home.started) == 2


def test_ten_clients_at_once_start_one_daemon(home: Home) -> None:
    ready = threading.Barrier(10)
    answers: list[Any] = []

    def connect() -> None:
        ready.wait(10)
        with kept.connect(environ=home.environ) as client:
            answers.append(client.call(Ping()))

    threads = [threading.Thread(target=connect) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 10
    assert len(home.started) == 1


def test_the_daemon_has_a_session_of_its_own_and_the_clients_environment(home: Home) -> None:
    home.start(KEPT_LIMITS_BATCH="7")
    ((pid, session, batch),) = home.started
    assert pid == session
    assert int(session) != os.getsid(0)
    assert batch == "7"


def test_a_daemon_that_a_service_starts_does_not_speak_in_its_name(home: Home) -> None:
    home.start(**dict.fromkeys(VARIABLES, "1"))
    ((pid, *_),) = home.started
    inherited = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert VARIABLES.isdisjoint(os.fsdecode(each).partition("=")[0] for each in inherited)
    assert any(each.startswith(b"KEPT_HOME=") for each in inherited)


def test_the_folders_and_files_that_are_made_are_private(home: Home) -> None:
    home.start()
    modes = {path: stat.S_IMODE(os.stat(path).st_mode) for path in (home.paths.runtime_dir, home.paths.log)}
    assert modes == {home.paths.runtime_dir: 0o700, home.paths.log: 0o600}


def test_a_daemon_that_serves_already_is_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path):
        start(find(environment(tmp_path)), environ={})


def test_while_another_daemon_has_the_home_starting_is_tried_again(home: Home) -> None:
    home.start(TAKEN="2")
    assert len(home.started) == 3


def test_a_daemon_that_leaves_a_recovery_to_its_next_start_gets_one(home: Home) -> None:
    home.start(DAMAGED="1")
    assert len(home.started) == 2


def test_a_daemon_that_meets_damage_twice_is_quoted_and_started_no_more(home: Home) -> None:
    with pytest.raises(StartFailed, match="status 70: stopping for a recovery"):
        home.start(DAMAGED="1000")
    assert len(home.started) == 2


def lock(home: Home, socket: Path) -> None:
    Path(home.paths.data_dir).mkdir(parents=True, exist_ok=True)
    Path(home.paths.data_dir, "keptd.lock").write_text(f"12\n{socket}\n")


def test_a_home_that_is_served_at_another_socket_needs_no_second_daemon(home: Home, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as server:
        lock(home, server.path)
        home.start()
        with kept.connect(environ=home.environ) as client:
            assert client.call(Ping()).time.year == 2026
    assert home.started == []


@pytest.mark.anyio
async def test_the_asynchronous_client_finds_that_socket_too(home: Home, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as server:
        lock(home, server.path)
        async with kept.connect_async(environ=home.environ) as client:
            assert (await client.call(Ping())).time.year == 2026
    assert home.started == []


def test_a_second_daemon_at_a_named_socket_is_refused_at_once_with_the_place_of_the_first(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other") as server:
        lock(home, server.path)
        named = {**home.environ, "KEPT_SOCKET": str(tmp_path / "named" / "s"), "TAKEN": "1000"}
        with pytest.raises(NoDaemon, match=rf"pid 12\) already serves this home at {server.path}"):
            start(find(named), environ=named)
    assert len(home.started) == 1


def test_a_lock_that_a_killed_daemon_left_does_not_keep_the_next_one_away(home: Home, tmp_path: Path) -> None:
    lock(home, tmp_path / "gone" / "s")
    home.start()
    assert len(home.started) == 1


def test_a_named_socket_gets_its_folder_and_no_parents(home: Home, tmp_path: Path) -> None:
    deep = {**home.environ, "KEPT_SOCKET": str(tmp_path / "a" / "b" / "s")}
    with pytest.raises(StartFailed):
        start(find(deep), environ=deep)
    assert not (tmp_path / "a").exists()
    near = {**home.environ, "KEPT_SOCKET": str(tmp_path / "a" / "s")}
    start(find(near), environ=near)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_place_that_cant_be_made_is_a_failed_start(home: Home) -> None:
    Path(home.paths.state_dir).write_text("no folder")
    with pytest.raises(StartFailed):
        home.start()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("first\nkeptd: the disk is full\n", "status 3: keptd: the disk is full"),
        (
            '{"time":"t","level":"error","event":"bad_config","key":"limits.batch"}',
            "bad_config key=limits.batch",
        ),
        ("[1]", "[1]"),
        ("\n", "it said nothing"),
    ],
)
def test_a_daemon_that_ends_early_is_quoted(home: Home, said: str, shown: str) -> None:
    with pytest.raises(StartFailed) as failed:
        home.start(FAIL=said)
    assert shown in str(failed.value)


def test_only_what_this_daemon_said_is_quoted(home: Home) -> None:
    with pytest.raises(StartFailed):
        home.start(FAIL="earlier words")
    with pytest.raises(StartFailed) as failed:
        home.start(FAIL="\n")
    assert "earlier" not in str(failed.value)


def test_a_daemon_that_is_not_ready_in_time_is_reported_with_its_log(home: Home) -> None:
    Path(home.environ["PYTHONPATH"].split(":")[0], "keptd.py").write_text(
        DAEMON.replace("listener.listen(64)", "import signal; signal.pause()")
    )
    with pytest.raises(NoDaemon, match=r"keptd\.log"):
        start(home.paths, 0.5, home.environ)


def test_a_runtime_folder_that_is_a_symlink_is_refused_and_nothing_started(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path(home.paths.runtime_dir).parent.mkdir()
    Path(home.paths.runtime_dir).symlink_to(elsewhere)
    with pytest.raises(Untrusted):
        home.start()
    assert home.started == []
    assert list(elsewhere.iterdir()) == []


def test_a_lock_that_is_held_too_long_is_reported(home: Home) -> None:
    import fcntl

    Path(home.paths.runtime_dir).mkdir(0o700, parents=True)
    with open(home.paths.socket + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(NoDaemon, match="another client"):
            start(home.paths, 0.02, home.environ)


def test_the_folder_of_the_caller_is_no_place_to_import_a_daemon_from(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "keptd.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path / "hostile")
    home.start()
    assert serves(home.paths.socket)
