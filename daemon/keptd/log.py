"""The daemon's log: where its lines go, how they look, and what may never be in them.

The convention: an event is a constant in lower case (`request_failed`), and its fields are method names, ids, counts,
sizes and durations. Never a value, a key or a text from a request. A machine holds to what it can: a field that is no
scalar is replaced by its type's name, strings are cut and made printable, and a traceback shows places and types
without messages, because an exception's message may quote what a caller sent.

Refuses to stop the daemon: a line that can't be written (full disk, closed terminal) is dropped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Protocol

import msgspec
import structlog

from kept.paths import Paths

from .config import Log

FIELD_LENGTH = 200
"""Characters of one field; more are cut."""
TRACEBACK_LENGTH = 8000
"""Characters of one rendered traceback."""
FILE_BYTES = 5 * 1024 * 1024
"""Size at which keptd.log is set aside as keptd.log.1."""
FILES_KEPT = 3
"""Files set aside that stay; the log takes at most (1 + 3) x 5 MiB."""

_FRAMES = 30
_CHAIN = 8
_LINES = 500
_ITEMS = 32
_STDERR = 2
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\U0010ffff]|[\u2028\u2029\ud800-\udfff]")
_QUOTED = re.compile(r"[\n(<\[{'\"=:].*", re.DOTALL)

Event = MutableMapping[str, Any]


class Sink(Protocol):
    """Where lines go."""

    def write(self, text: str) -> object:
        """Write a line; never raises OSError."""

    def flush(self) -> object:
        """Let nothing wait."""

    def close(self) -> object:
        """Give back what is open."""


class StandardError:
    """File descriptor 2, unbuffered."""

    def write(self, text: str) -> None:
        """Write a line, or drop it."""
        _write(_STDERR, text)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """It stays open: it belongs to the process."""


class RotatingFile:
    """A file of mode 0600 that is set aside (`.1`, `.2`, ...) when it reaches `limit` bytes.

    Where standard error is that same file (a daemon that a client started), it follows, so that what the interpreter
    itself prints is not lost in a file that was set aside. Raises OSError where the file can't be opened, or is no
    regular file.
    """

    def __init__(self, path: Path, limit: int = FILE_BYTES, kept: int = FILES_KEPT) -> None:
        self._path = path
        self._limit = limit
        self._kept = kept
        self._lock = Lock()
        self._fd = _open(path)
        self._size = os.fstat(self._fd).st_size

    def write(self, text: str) -> None:
        """Write a line, in a new file where it would pass the limit, or drop it."""
        length = len(text.encode(errors="backslashreplace"))
        with self._lock:
            if self._size and self._size + length > self._limit:
                self._rotate()
            _write(self._fd, text)
            self._size += length

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is written after this: a line that still comes is dropped."""
        with self._lock:
            descriptor, self._fd = self._fd, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _rotate(self) -> None:
        try:
            for number in range(self._kept - 1, 0, -1):
                older = self._aside(number)
                if older.exists():
                    older.replace(self._aside(number + 1))
            self._path.replace(self._aside(1))
            fresh = _open(self._path)
        except OSError:
            # The folder is gone or full: go on in the file at hand, and look again after as many bytes.
            self._size = 0
            return
        # Standard error may be closed.
        with contextlib.suppress(OSError):
            if os.path.sameopenfile(_STDERR, self._fd):
                os.dup2(fresh, _STDERR)
        os.close(self._fd)
        self._fd, self._size = fresh, 0

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _open(path: Path) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no regular file")
    os.fchmod(fd, 0o600)
    return fd


def _write(fd: int, text: str) -> None:
    # A log that can't be written must not fail the request that it is about.
    with contextlib.suppress(OSError):
        os.write(fd, text.encode(errors="backslashreplace"))


def under_journal(environ: Mapping[str, str] = os.environ, fd: int = _STDERR) -> bool:
    """Whether `fd` is the journal's stream.

    Children inherit the variable even where their output goes elsewhere, so the device and inode in it are compared
    (systemd.exec(5), JOURNAL_STREAM).
    """
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


_sink: Sink = StandardError()


def configure(log: Log, paths: Paths) -> None:
    """Send the daemon's lines, and those of the libraries, where `log` says: standard error, or `paths.log`.

    May be called again (reload). Where the file can't be used, lines go to standard error, and the first says so.
    """
    global _sink
    fault: OSError | None = None
    chosen: Sink = StandardError()
    file = Path(paths.log)
    if _to_file(log):
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            chosen = RotatingFile(file)
        except OSError as error:
            fault = error
    former, _sink = _sink, chosen
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_messages,
            _bounded,
            _renderer(log, chosen),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(log.level),
        logger_factory=structlog.WriteLoggerFactory(chosen),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    former.close()
    logging.basicConfig(handlers=[_Libraries()], level=log.level.upper(), force=True)
    if fault is not None:
        structlog.get_logger().warning("log_file_unusable", file=str(file), errno=fault.errno)


def _to_file(log: Log) -> bool:
    if log.file == "auto":
        return not under_journal() and not _on_terminal()
    return log.file == "always"


def _on_terminal() -> bool:
    return os.isatty(_STDERR)


def _renderer(log: Log, sink: Sink) -> Any:
    terminal = isinstance(sink, StandardError) and _on_terminal()
    if log.format == "console" or (log.format == "auto" and terminal):
        return structlog.dev.ConsoleRenderer(colors=terminal and "NO_COLOR" not in os.environ, pad_event_to=24)
    return _json


_encode = msgspec.json.Encoder().encode


def _json(_logger: Any, _level: str, event: Event) -> str:
    head = {"time": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event")}
    return _encode({**head, **event}).decode()


def _bounded(_logger: Any, _level: str, event: Event) -> Event:
    for name, value in event.items():
        event[name] = value if name == "exception" else _field(value)
    return event


def _field(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (str, Path)):
        return printable(str(value))
    if isinstance(value, (tuple, list)) and all(isinstance(item, (str, int)) for item in value[:_ITEMS]):
        return [_field(item) for item in value[:_ITEMS]]
    return f"<{type(value).__name__}>"


def printable(text: str, length: int = FIELD_LENGTH) -> str:
    """`text` cut at `length` characters, its control characters escaped (they could rewrite a terminal)."""
    cut = text if len(text) <= length else text[: length - 3] + "..."
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)


def _without_messages(_logger: Any, _level: str, event: Event) -> Event:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()[1]
    elif isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        event["exception"] = printable_traceback(given)
    return event


def printable_traceback(error: BaseException) -> str:
    """Types, numbers and places of an exception and its causes, innermost last; never a message."""
    return "\n".join(islice(_places(error, _CHAIN), _LINES))[:TRACEBACK_LENGTH]


def _places(error: BaseException, left: int) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if left and earlier is not None:
        yield from _places(earlier, left - 1)
        yield "then:"
    yield from _frames(error.__traceback__)
    yield type(error).__qualname__ + _numbers(error)
    if left and isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:_CHAIN]:
            yield "of which:"
            yield from _places(member, left - 1)


def _frames(trace: TracebackType | None) -> list[str]:
    places = [
        f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in traceback.walk_tb(trace)
    ]
    return places[-_FRAMES:]


def _numbers(error: BaseException) -> str:
    """The codes of OSError and apsw.Error, which say what failed and hold no text."""
    codes = ((name, getattr(error, name, None)) for name in ("errno", "result", "extendedresult"))
    return "".join(f" {name}={code}" for name, code in codes if isinstance(code, int))


class _Libraries(logging.Handler):
    """Takes what libraries log.

    Of their messages it keeps the words before the first quotation, bracket or colon: asyncio quotes callbacks with
    their arguments there.
    """

    def emit(self, record: logging.LogRecord) -> None:
        words = _QUOTED.sub("", str(record.msg)).strip()
        where = f"{record.filename}:{record.lineno}"
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, words=words, where=where, exc_info=record.exc_info
        )
