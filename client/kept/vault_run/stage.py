"""A terminal for the command, between it and the person's own: what is typed goes in, what is drawn comes out.

Owns the modes of the person's terminal meanwhile, which passes on each key as it is, and gives them back at the end and
while the command is stopped.
"""

from __future__ import annotations

import fcntl
import os
import pty
import termios
import tty
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

_KEY_BYTES = 4096
_SIZE_BYTES = 8


class Stage:
    """`with Stage() as stage`: `path` is the terminal that the command gets, `master` what this process reads."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        self.path = os.ttyname(self._slave)
        self._before: list[Any] = termios.tcgetattr(0)
        self._typed = b""
        self._has_keys = True

    @staticmethod
    def is_wanted() -> bool:
        """Whether a person sits in front of this process."""
        try:
            return os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp()
        except OSError:
            return False

    def __enter__(self) -> Self:
        termios.tcsetattr(self._slave, termios.TCSANOW, self._before)
        os.set_blocking(self.master, False)
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
        for descriptor in (self.master, self._slave):
            os.close(descriptor)

    def take(self) -> None:
        """Have each key passed on as it is, in a window of the person's size."""
        self.resize()
        with suppress(termios.error):
            tty.setraw(0, termios.TCSADRAIN)

    def give_back(self) -> None:
        """Put the person's terminal back. One that has gone needs nothing."""
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def front(self) -> int | None:
        """The process group that the command's terminal belongs to; None where there is none."""
        try:
            return os.tcgetpgrp(self.master) or None
        except OSError:
            return None

    def resize(self) -> None:
        """Take over the window's size."""
        with suppress(OSError):
            size = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(_SIZE_BYTES))
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def keys(self) -> list[int]:
        """The descriptor of the keys, while there is room for what is typed."""
        return [0] if self._has_keys and len(self._typed) < _KEY_BYTES else []

    def waiting(self) -> list[int]:
        """The command's terminal, while something was typed that it hasn't taken."""
        return [self.master] if self._typed else []

    def type(self) -> bool:
        """Take in what was typed; whether the key that stops a command is in it, and means that in there."""
        try:
            typed = os.read(0, _KEY_BYTES)
        except OSError:
            typed = b""
        self._has_keys = bool(typed)
        self._typed += typed
        self.press()
        modes: list[Any] = termios.tcgetattr(self._slave)
        key = modes[6][termios.VSUSP]
        return bool(modes[3] & termios.ISIG) and key != b"\0" and key in typed

    def press(self) -> None:
        """Let the command have it."""
        try:
            self._typed = self._typed[os.write(self.master, self._typed) :]
        except BlockingIOError:
            return
        except OSError:
            self._typed = b""  # It has closed its terminal.
