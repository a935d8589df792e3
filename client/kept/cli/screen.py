"""A whole terminal for a while: its alternate screen, without cursor and echo; and given back as it was.

The sequences are those of xterm (ctlseqs: DECSET 1049, 25 and 7; ED, EL, CUP), which every terminal of today takes. No
curses: it draws for terminals that nobody has, and its description of a terminal may be missing.
"""

from __future__ import annotations

import os
import re
import signal
import termios
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from .grid import Line, Mark
from .text import cells_of

# Without wrapping, a character that is wider than was counted costs the end of its line, and not all lines below.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_STYLES: dict[Mark, str] = {"title": "\x1b[1m", "head": "\x1b[7m", "warning": "\x1b[1;33m", "aside": "\x1b[2m"}
_PLAIN = "\x1b[0m"

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]?|O.?|.)?", re.DOTALL)
"""What a key that is no character sends: arrows, function keys, answers of the terminal."""

_USUAL_SIZE = (80, 24)


class Screen:
    """`with Screen(keys, screen, colour) as screen`: two descriptors of one terminal. Shown as soon as this process is
    in the terminal's foreground, and not before."""

    def __init__(self, keys: int, screen: int, colour: bool) -> None:
        self.keys = keys
        self._screen = screen
        self._colour = colour
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A terminal that has gone needs nothing.
        with suppress(OSError, termios.error):
            self.leave()

    @property
    def shown(self) -> bool:
        """Whether the terminal is this process's now."""
        return self._before is not None

    def enter(self) -> bool:
        """Take the terminal, or take it again after somebody else may have had it; False in the background."""
        if not self._in_front():
            return False
        if self._before is None:
            self._before = termios.tcgetattr(self.keys)
        mode = [*self._before[:6], [*self._before[6]]]
        # Ctrl-S, which holds up the output, would hold up whoever writes it, signals and all.
        mode[0] &= ~termios.IXON
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.keys, termios.TCSANOW, mode)
        self._write(_ENTER)
        return True

    def leave(self) -> None:
        """Give the terminal back as it was."""
        before, self._before = self._before, None
        if before is not None:
            try:
                self._write(_LEAVE)
            finally:
                termios.tcsetattr(self.keys, termios.TCSADRAIN, before)

    def stop(self) -> None:
        """Let the shell have the terminal, as Ctrl-Z asks; returns when this process goes on."""
        self.leave()
        stopping = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, stopping)
        self.enter()

    def size(self) -> tuple[int, int]:
        """Columns and lines; the usual ones where the terminal doesn't say."""
        columns, lines = os.get_terminal_size(self._screen)
        return columns or _USUAL_SIZE[0], lines or _USUAL_SIZE[1]

    def typed(self) -> str | None:
        """The characters that were typed, without those keys that send several; None where the terminal has gone."""
        try:
            keys = os.read(self.keys, 1024)
        except OSError:
            return None
        return _SEQUENCE.sub(b"", keys).decode("ascii", "replace") if keys else None

    def show(self, lines: Sequence[Line], width: int, *, anew: bool = False) -> None:
        """Put the lines (each `width` cells at most) in the place of those before, in one write; `anew` where what is
        there is unknown."""
        self._write(("\x1b[2J\x1b[H" if anew else "\x1b[H") + "\r\n".join(self._styled(line, width) for line in lines))

    def _styled(self, line: Line, width: int) -> str:
        style = _STYLES.get(line.mark, "") if self._colour else ""
        # At the end of a full line the cursor stands on its last character, which would be erased.
        end = "\x1b[K" if cells_of(line.text) < width else ""
        return f"{style}{line.text}{_PLAIN if style else ''}{end}"

    def _in_front(self) -> bool:
        try:
            return os.tcgetpgrp(self.keys) == os.getpgrp()
        except OSError:
            return True  # Not this process's controlling terminal, so that nobody stops it for using it.

    def _write(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8", "replace"))
        while rest:
            rest = rest[os.write(self._screen, rest) :]
