"""A line that is typed at a terminal and shown nowhere.

Owns the terminal's modes for as long as the question stands. They are put back whatever ends it: an answer, a refusal,
Ctrl-C, Ctrl-Z, or a signal that ends this process; only SIGKILL and SIGSTOP leave no time for that.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from contextlib import suppress
from typing import Any

from .surface import UsageError

LINE_BYTES = 4095
"""What a terminal takes in one line; it drops the rest without a word (termios(3), canonical mode)."""

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
"""Signals that end or stop this process, but must find the terminal as it was."""


def open_terminal() -> int:
    """The terminal that this process belongs to, whatever its standard input is. Raises OSError."""
    return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def at_terminal(prompt: str) -> bytearray:
    """What is typed after the prompt, without its end. Raises `UsageError` for nothing, for too much, and where
    the terminal goes."""
    terminal = open_terminal()
    try:
        while True:
            try:
                line = _Quietly(terminal).ask(prompt)
            except (OSError, termios.error):
                raise UsageError("the terminal has gone, and with it whoever was asked") from None
            if isinstance(line, bytearray):
                return line
            # The terminal is as it was. What ends this process ends it here; after Ctrl-Z and `fg` it asks again.
            signal.raise_signal(line)
    finally:
        os.close(terminal)


class _Quietly:
    """One question at a terminal that shows nothing of the answer."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._noted: list[int] = []

    def ask(self, prompt: str) -> bytearray | int:
        """The line that was typed; or the signal that came instead, for which the terminal is put back first."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.getsignal(number) for number in _ENDING}
        waker = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            for number, handler in before.items():
                if handler not in (signal.SIG_IGN, None):
                    signal.signal(number, lambda noted, _: self._noted.append(noted))
            return self._without_echo(prompt, woken)
        finally:
            for number, handler in before.items():
                if handler is not None:
                    signal.signal(number, handler)
            signal.set_wakeup_fd(waker)
            os.close(woken)
            os.close(wake)

    def _without_echo(self, prompt: str, woken: int) -> bytearray | int:
        before: list[Any] = termios.tcgetattr(self._terminal)
        quiet = [*before]
        quiet[3] = (before[3] & ~termios.ECHO) | termios.ICANON
        try:
            # What was typed before the question, and what is left of what was pasted, is no answer, and no command.
            termios.tcsetattr(self._terminal, termios.TCSAFLUSH, quiet)
            os.write(self._terminal, prompt.encode())
            return self._line(woken)
        finally:
            # A terminal that has gone has no modes to be given back; the signal that told so ends this process.
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._terminal, termios.TCSAFLUSH, before)
                os.write(self._terminal, b"\n")

    def _line(self, woken: int) -> bytearray | int:
        buffer = bytearray(LINE_BYTES + 1)
        size = 0
        with memoryview(buffer) as view:
            while not self._noted:
                ready = select.select([self._terminal, woken], [], [])[0]
                if self._noted or self._terminal not in ready:
                    continue
                count = os.readv(self._terminal, [view[size:]])
                size += count
                if not count or size >= LINE_BYTES or buffer[size - 1] == ord("\n"):
                    break
        if self._noted:
            wipe(buffer)
            return self._noted[0]
        if not size or size >= LINE_BYTES or self._waiting():
            wipe(buffer)
            raise _refusal(size)
        del buffer[size - (buffer[size - 1] == ord("\n")) :]
        return buffer

    def _waiting(self) -> int:
        """How many bytes were typed behind the line."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._terminal, termios.FIONREAD, b"\0" * 4))
        return int(count)


def _refusal(size: int) -> UsageError:
    if not size:
        return UsageError("nothing was typed")
    what = "that is more than one line" if size < LINE_BYTES else f"a terminal takes no line of {LINE_BYTES:,} bytes"
    return UsageError(what, "Give it from a file: - reads standard input, and the option with -fd a descriptor.")


def wipe(buffer: bytearray) -> None:
    """Overwrite it."""
    buffer[:] = bytes(len(buffer))
