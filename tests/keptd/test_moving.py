"""A socket that vanishes while the daemon runs, as WSL2's runtime folder does: it listens anew, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

import kept
from kept.holder import elsewhere, holder
from kept.paths import Paths, find
from kept.wire.daemon import Status
from keptd import supervisor
from tests.harness import Daemon, running

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HOME_SECONDS", 0.001)


def events(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, daemon.log().splitlines()) if line["event"] == name]


async def moved(daemon: Daemon, times: int = 1) -> None:
    name = "the socket was removed, so there is a new one"
    await daemon.until("it listens anew", lambda: len(events(daemon, name)) == times)


@pytest.mark.parametrize("removed", ["run/keptd.sock", "run"])
async def test_a_socket_that_was_removed_is_made_again_and_connections_stay(home: Path, removed: str) -> None:
    async with running(home) as daemon:
        before = await daemon.connect()
        await before.result("memory.set", key="k", value=1)
        gone = home / removed
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        await moved(daemon)
        after = await daemon.connect()
        assert (await after.result("memory.get", key="k"))["value"] == 1
        await before.is_served()
        assert (home / "run").stat().st_mode & 0o777 == 0o700
        assert (home / "run" / "keptd.sock").stat().st_mode & 0o777 == 0o600
    assert os.listdir(home / "run") == []


async def test_it_is_made_again_as_often_as_it_vanishes(home: Path) -> None:
    async with running(home) as daemon:
        for times in (1, 2, 3):
            (home / "run" / "keptd.sock").unlink()
            await moved(daemon, times)
            await (await daemon.connect()).is_served()


async def test_whoever_had_connected_when_the_socket_vanished_is_served(home: Path) -> None:
    async with running(home) as daemon:
        with socket.socket(socket.AF_UNIX) as early:
            early.connect(daemon.paths.socket)
            early.sendall(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n')
            early.setblocking(False)
            # Without a turn of the loop in between, so that nobody has accepted it.
            (home / "run" / "keptd.sock").unlink()
            assert daemon.supervisor._move()
            answer = bytearray()

            def answered() -> bool:
                try:
                    answer.extend(early.recv(4096))
                except BlockingIOError:
                    return False
                return answer.endswith(b"\n")

            await daemon.until("its answer", answered)
            assert b'"id":1' in answer


def environ_of(home: Path) -> dict[str, str]:
    places = {f"XDG_{name.upper()}_HOME": str(home / name) for name in ("data", "state", "config")}
    return {**places, "XDG_RUNTIME_DIR": str(home / "session"), "HOME": str(home)}


@pytest.fixture
def session(home: Path) -> tuple[Paths, dict[str, str]]:
    """A home with a runtime folder of its own, and the environment that names it."""
    (home / "session").mkdir(0o700)
    environ = environ_of(home)
    return find(environ), environ


async def test_without_its_runtime_folder_it_listens_below_the_state_folder_and_clients_find_it(
    home: Path, session: tuple[Paths, dict[str, str]]
) -> None:
    first, environ = session
    async with running(home, None, None, lambda: find(environ)) as daemon:
        assert daemon.paths.socket == first.socket
        shutil.rmtree(home / "session")
        await moved(daemon)
        fallback = find(environ)
        assert fallback.socket == f"{home}/state/kept/run/keptd.sock"
        async with kept.connect_async("after", environ=environ, start=False) as client:
            assert (await client.call(Status())).socket == fallback.socket
        # The folder is back, as after a login: who looks there finds the daemon through the home's lock.
        (home / "session").mkdir(0o700)
        assert find(environ).socket == first.socket
        assert holder(first.data_dir) == (os.getpid(), fallback.socket)
        assert elsewhere(first, environ) == fallback.socket
        # And when the fallback vanishes, the folder is good again.
        shutil.rmtree(Path(fallback.runtime_dir))
        await moved(daemon, 2)
        assert holder(first.data_dir) == (os.getpid(), first.socket)


async def test_where_something_else_took_the_sockets_place_the_daemon_ends_and_leaves_it_alone(home: Path) -> None:
    async with running(home) as daemon:
        path = home / "run" / "keptd.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(home / "run" / "other"))
            other.listen()
            (home / "run" / "other").rename(path)
            await daemon.until("it ends", daemon.supervisor._stopping.is_set)
            assert path.exists()
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))


async def test_where_there_is_no_place_for_another_socket_the_daemon_ends(home: Path) -> None:
    async with running(home) as daemon:
        shutil.rmtree(home / "run")
        (home / "run").symlink_to(home)
        await daemon.until("it ends", daemon.supervisor._stopping.is_set)
        assert len(events(daemon, "the socket is gone, and there is no other place for it")) == 1
