"""The log: where lines go, what may be in them, and that it is bounded."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import structlog

from kept.paths import Paths
from keptd import log
from keptd.config import Log
from keptd.log import RotatingFile

SCRIPT = """
import os, sys
import structlog
from kept.paths import find
from keptd import log
from keptd.config import Log
log.configure(Log(), find(os.environ))
structlog.get_logger().info("served", method="memory.get", count=3)
"""


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    yield Paths(
        socket=str(tmp_path / "run/s"),
        data_dir=str(tmp_path),
        state_dir=str(tmp_path / "state"),
        config_file=str(tmp_path / "c"),
    )
    log.configure(Log(file="never"), Paths(socket="/s", data_dir="/", state_dir="/", config_file="/c"))
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()


def lines(paths: Paths) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(paths.log).read_text().splitlines()]


def daemon(home: Path, stderr: int, **environ: str) -> None:
    environment = {**os.environ, "KEPT_HOME": str(home), **environ}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, stderr=stderr, check=True)


def test_on_a_terminal_lines_are_readable_and_no_file_is_made(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    daemon(tmp_path, theirs, NO_COLOR="1")
    os.close(theirs)
    line = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "served" in line
    assert "method=memory.get" in line
    assert "\x1b" not in line
    assert not (tmp_path / "keptd.log").exists()


def test_under_the_journal_lines_are_json_on_standard_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    found = os.fstat(write)
    daemon(tmp_path, write, JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}")
    line = json.loads(os.read(read, 10_000))
    os.close(read)
    os.close(write)
    assert list(line)[:3] == ["time", "level", "event"]
    assert (line["level"], line["event"], line["method"], line["count"]) == ("info", "served", "memory.get", 3)
    assert not (tmp_path / "keptd.log").exists()


def test_a_journal_that_only_the_parent_writes_to_does_not_count(tmp_path: Path) -> None:
    daemon(tmp_path, subprocess.DEVNULL, JOURNAL_STREAM="1:2")
    file = tmp_path / "keptd.log"
    assert json.loads(file.read_text())["event"] == "served"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_others_could_read_becomes_private(paths: Paths) -> None:
    Path(paths.state_dir).mkdir()
    Path(paths.log).touch(0o644)
    log.configure(Log(file="always"), paths)
    assert stat.S_IMODE(os.stat(paths.log).st_mode) == 0o600


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_a_log_that_is_no_regular_file_is_not_written(
    paths: Paths, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(paths.state_dir).mkdir()
    other = Path(paths.state_dir, "other")
    other.touch()
    if kind == "symlink":
        Path(paths.log).symlink_to(other)
    elif kind == "fifo":
        os.mkfifo(paths.log)
    else:
        Path(paths.log).mkdir()
    log.configure(Log(file="always"), paths)
    assert json.loads(capfd.readouterr().err)["event"] == "log_file_unusable"
    assert other.read_bytes() == b""


def test_a_full_file_is_set_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    file = log.RotatingFile(tmp_path / "keptd.log", limit=100, kept=2)
    for number in range(10):
        file.write(f"{number}" * 59 + "\n")
    file.close()
    sizes = {item.name: item.stat().st_size for item in tmp_path.iterdir()}
    assert sizes == {"keptd.log": 60, "keptd.log.1": 60, "keptd.log.2": 60}
    assert (tmp_path / "keptd.log.2").read_text().startswith("7")


def test_an_existing_file_counts_towards_the_limit(tmp_path: Path) -> None:
    (tmp_path / "keptd.log").write_text("x" * 90)
    file = log.RotatingFile(tmp_path / "keptd.log", limit=100)
    file.write("y" * 20)
    file.close()
    assert (tmp_path / "keptd.log").read_text() == "y" * 20


def test_standard_error_follows_the_file_when_it_is_the_same(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from keptd import log\n"
        "file = log.RotatingFile(Path(sys.argv[1]), limit=10)\n"
        "file.write('before....'); file.write('after'); os.write(2, b'raw')\n"
    )
    path = tmp_path / "keptd.log"
    with path.open("ab") as stream:
        subprocess.run([sys.executable, "-c", script, str(path)], stderr=stream, check=True)
    assert path.read_text() == "afterraw"


def test_a_line_that_cant_be_written_is_dropped(paths: Paths) -> None:
    with open("/dev/full", "wb") as full:
        kept = os.dup(2)
        os.dup2(full.fileno(), 2)
        try:
            log.configure(Log(file="never", format="json"), paths)
            structlog.get_logger().error("anything")
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def test_a_reload_changes_the_level(paths: Paths) -> None:
    log.configure(Log(file="always"), paths)
    logger = structlog.get_logger()
    logger.debug("hidden")
    log.configure(Log(file="always", level="debug"), paths)
    logger.debug("shown")
    assert [line["event"] for line in lines(paths)] == ["shown"]


def test_fields_are_cut_made_printable_and_never_structures(paths: Paths) -> None:
    log.configure(Log(file="always"), paths)
    structlog.get_logger().info(
        "served",
        text="x" * 1000,
        escape="a\x1b[31m\u2028b\ud800",
        value={"password": "hunter2"},
        raw=b"hunter2",
        names=("a", "b"),
    )
    (line,) = lines(paths)
    assert (len(line["text"]), line["escape"]) == (log.FIELD_LENGTH, "a\\u001b[31m\\u2028b\\ud800")
    assert (line["value"], line["raw"], line["names"]) == ("<dict>", "<bytes>", ["a", "b"])
    assert "hunter2" not in Path(paths.log).read_text()


def test_a_traceback_shows_types_and_places_but_no_message(paths: Paths) -> None:
    log.configure(Log(file="always"), paths)
    try:
        try:
            dict[str, str]()["hunter2"]
        except KeyError as cause:
            raise ExceptionGroup("hunter2", [OSError(28, "hunter2"), ValueError("hunter2")]) from cause
    except ExceptionGroup:
        structlog.get_logger().exception("request_failed", method="memory.set")
    (line,) = lines(paths)
    for part in ("KeyError", "OSError errno=28", "ValueError", "test_log.py:", "in test_a_traceback_shows"):
        assert part in line["exception"]
    assert "hunter2" not in Path(paths.log).read_text()


def fail(depth: int) -> None:
    if depth:
        fail(depth - 1)
    raise ValueError


def test_a_traceback_is_bounded_however_exceptions_are_chained_and_grouped() -> None:
    with pytest.raises(ValueError) as failed:  # noqa: PT011 - any will do
        fail(100)
    error: Exception = failed.value
    for _ in range(10_000):
        later = ValueError()
        later.__cause__ = error
        error = later
    assert len(log.printable_traceback(error)) <= log.TRACEBACK_LENGTH
    error = failed.value
    for _ in range(20):
        error = ExceptionGroup("", [error] * 8)
    assert len(log.printable_traceback(error)) <= log.TRACEBACK_LENGTH
    assert len(log.printable_traceback(ExceptionGroup("", [failed.value] * 8))) == log.TRACEBACK_LENGTH


def test_what_a_library_logs_keeps_no_quotation(paths: Paths) -> None:
    log.configure(Log(file="always"), paths)
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Exception in callback f('hunter2')", "exception": ValueError("hunter2")})
    loop.close()
    (line,) = lines(paths)
    assert (line["event"], line["logger"], line["words"], line["level"]) == (
        "library",
        "asyncio",
        "Exception in callback f",
        "error",
    )
    assert "ValueError" in line["exception"]
    assert "hunter2" not in Path(paths.log).read_text()


def test_threads_that_write_at_once_lose_no_line_and_no_descriptor(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", limit=300, kept=2)
    before = len(os.listdir("/proc/self/fd"))
    faults: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(400):
                file.write("x" * 99 + "\n")
        except BaseException as fault:  # noqa: BLE001 - whatever it is, the test tells it
            faults.append(fault)

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(os.listdir("/proc/self/fd")) == before
    assert [path.stat().st_size for path in sorted(tmp_path.iterdir())] == [100, 300, 300]
    file.close()


def test_a_line_that_comes_after_the_end_is_dropped_and_goes_into_no_other_file(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log")
    file.close()
    with (tmp_path / "other").open("wb") as other:
        file.write("late\n")
        assert other.tell() == 0
    assert (tmp_path / "other").read_bytes() == b""
    file.close()


def test_a_file_is_set_aside_though_standard_error_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> bool:
        raise OSError(9, "Bad file descriptor")

    file = RotatingFile(tmp_path / "log", limit=10)
    monkeypatch.setattr(os.path, "sameopenfile", closed)
    file.write("0123456\n")
    file.write("7890123\n")
    file.close()
    assert (tmp_path / "log").read_text() == "7890123\n"
    assert (tmp_path / "log.1").read_text() == "0123456\n"
