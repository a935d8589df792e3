"""What all tests share: the loops on which an asynchronous test runs, and a home whose paths are short."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .harness import Daemon, Peer, running
from .places import HOMES

# Whoever starts the suite in the background, or with nohup, has it ignore these, and every program that a test starts
# would as well: what is handled is not ignored by a program that is started.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
# Without bytecode each worker would compile all tests, and each process that a test starts all of kept. Those with an
# environment of their own write it anyway.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Set for pytest's own folders, which are named when the first test asks for one.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", HOMES)
# No test listens to the machine that it runs on.
os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/dev/null"


def pytest_collection_finish() -> None:
    """Take all that the collection has made out of the garbage collector's sight: a million objects, which every full
    collection would look through. What a test makes is seen."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What plug-ins look for at the end, they find."""
    gc.unfreeze()


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test that is marked `anyio` runs on both."""
    return str(request.param)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A daemon's entry point sets the process's; the next test gets the usual one back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder near the root: a socket's path has at most 107 bytes, and `tmp_path` can be longer."""
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder:
        yield Path(folder)


@pytest.fixture
async def daemon(home: Path, anyio_backend: object) -> AsyncIterator[Daemon]:
    """A daemon with the default limits."""
    async with running(home) as started:
        yield started


@pytest.fixture(scope="module")
async def lasting(anyio_backend: object) -> AsyncIterator[Daemon]:
    """The same for all tests of a module, which begin with whatever the others have left behind."""
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder:
        async with running(Path(folder)) as started:
            yield started


@pytest.fixture
async def peer(daemon: Daemon) -> AsyncIterator[Peer]:
    """A raw connection to it."""
    made = await daemon.connect()
    yield made
    await made.close()
