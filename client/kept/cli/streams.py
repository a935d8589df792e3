"""The standard streams of a process as a command line's `Surface`: written through in UTF-8, and read once, bounded.

Refuses to go on where standard output takes nothing; where standard error doesn't, nothing can be said of it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from ..frames import MESSAGE_BYTES
from ..thin import REFUSED, Refusal
from .run import before_arguments
from .surface import WITHOUT_END, Surface, UsageError


def surface_of(argv: Sequence[str]) -> Surface:
    """This process's streams. An error is told as JSON where `argv` asks for that."""
    return Surface(
        writer(sys.stdout),
        writer(sys.stderr),
        columns=_columns() or WITHOUT_END,
        terminal=sys.stdout.isatty(),
        colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
        stdin=_read_stdin,
        json="--json" in before_arguments(argv),
    )


def writer(stream: TextIO) -> Callable[[str], object]:
    """A function that writes text to a stream, at once. It raises `Refusal` where standard output takes nothing."""
    if isinstance(stream, io.TextIOWrapper):
        # As the thin script does: UTF-8, whatever the terminal's declared encoding.
        stream.reconfigure(encoding="utf-8", errors="replace")
    return _Writer(stream)


class _Writer:
    """Writes through, so that a program that reads `kept watch` sees each line when it comes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as fault:
            if self._stream is not sys.stdout:
                return
            # As on a full disk. What the stream still holds would be written again at the end.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lasts to the end
            raise Refusal(f"the output can't be written: {fault.strerror}", REFUSED) from None


def _columns(stream: TextIO | None = None) -> int:
    """The terminal's width; 0 where the output goes to none."""
    try:
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns
    except (OSError, ValueError):
        return 0


def error_columns() -> int:
    """The width of the terminal that standard error goes to; 80 where it goes to none."""
    return _columns(sys.stderr) or 80


def _read_stdin() -> str:
    # The type has no None, yet that is what Python sets where the descriptor is closed.
    if not sys.stdin:
        raise UsageError("there is no standard input to read")
    whole = sys.stdin.buffer.read(MESSAGE_BYTES + 1)
    if len(whole) > MESSAGE_BYTES:
        raise UsageError(f"standard input is longer than {MESSAGE_BYTES} bytes")
    try:
        return whole.decode()
    except UnicodeDecodeError as fault:
        raise UsageError(f"standard input is not UTF-8 (at byte {fault.start})") from None
