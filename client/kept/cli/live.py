"""`kept top` in the caller's process: looks at the daemon again and again, and shows what it found.

Owns when it looks, keys, signals, and what is shown while nobody answers. A look is taken on a thread, so that a
daemon that hangs holds up neither a key nor a signal. It starts no daemon.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from ..faults import Fault
from ..trust import Untrusted
from ..wire.errors import KeptError
from .dashboard import draw, explain
from .grid import Line
from .samples import Sample, Waiting, take, view
from .screen import Screen
from .surface import FINE, Caller, Here, Surface
from .text import as_json, one_line

_UNANSWERED = (Fault, KeptError, Untrusted)

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_HEEDED = (*_ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
_NEWS = 0
"""Stands among the numbers of signals for a look that is done; no signal has it."""

_WIDTH = 120
"""Columns where the output goes to no terminal."""

Look = Callable[[], Sample]


def run(interval: float, once: bool, here: Here, surface: Surface) -> int:
    """Show one view, or one each `interval` seconds without end. Raises what the first look raises."""
    look = partial(_take, here.observe())
    first = look()
    terminal = None if surface.json or once else here.terminal()
    if terminal is not None:
        end = _live(look, first, interval, Screen(*terminal, surface.colour))
        if end:
            # What it does to this process is the same as to any other, now that the terminal is as it was.
            signal.raise_signal(end)
        return FINE
    _print(None, first, surface)
    before: Sample | None = first
    while not once:
        time.sleep(interval)
        before = _next(look, before, surface)
    return FINE


def _take(call: Caller) -> Sample:
    return take(call, datetime.now(UTC), time.monotonic())


def _next(look: Look, before: Sample | None, surface: Surface) -> Sample | None:
    """One more view where there is no terminal to draw on; what it showed."""
    try:
        now = look()
    except _UNANSWERED as fault:
        if surface.json:
            surface.line(as_json(Waiting(at=datetime.now(UTC), waiting=str(fault)), 0))
        elif before is not None:
            surface.note(f"waiting for the daemon: {one_line(str(fault))}")
        return None
    if not surface.json:
        surface.line("")
    _print(before, now, surface)
    return now


def _print(before: Sample | None, now: Sample, surface: Surface) -> None:
    if surface.json:
        surface.line(as_json(view(before, now), 0))
        return
    for line in draw(before, now, surface.columns if surface.terminal else _WIDTH, None):
        surface.line(line.text)


class _Bell:
    """A pipe that wakes whoever waits for the terminal: each byte is the number of a signal, or `_NEWS`."""

    def __init__(self) -> None:
        self.heard, self.rung = os.pipe()
        self._lock = threading.Lock()
        self._open = True
        os.set_blocking(self.heard, False)
        os.set_blocking(self.rung, False)

    def ring(self) -> None:
        """Tell that a look is done; on any thread, also after the end, when the number may be another file's."""
        with self._lock:
            if self._open:
                os.write(self.rung, bytes((_NEWS,)))

    def rings(self) -> bytes:
        """What has come since."""
        try:
            return os.read(self.heard, 1024)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._open = False
            os.close(self.heard)
            os.close(self.rung)


@contextmanager
def _heeding() -> Iterator[_Bell]:
    """Signals ring the bell instead of doing what they do, but for those that the caller has us ignore (nohup)."""
    bell = _Bell()
    wakeup = signal.set_wakeup_fd(bell.rung, warn_on_full_buffer=False)
    heeded = [number for number in _HEEDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in heeded}
    try:
        yield bell
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        bell.close()


def _live(look: Look, first: Sample, interval: float, screen: Screen) -> int:
    """Draw until the end; the signal that ended it, or 0."""
    with _heeding() as bell, screen:
        return _Live(look, first, interval, screen, bell).run()


class _Live:
    """What is on the screen, and what it is waiting for."""

    def __init__(self, look: Look, first: Sample, interval: float, screen: Screen, bell: _Bell) -> None:
        self._look = look
        self._interval = interval
        self._screen = screen
        self._bell = bell
        self._before: Sample | None = None
        self._now = first
        self._coming: Future[Sample] | None = None
        self._due = time.monotonic() + interval
        self._trouble = ""
        self._paused = False
        self._explaining = False
        self._anew = True
        self._ended: int | None = None

    def run(self) -> int:
        """Until the end; its signal, or 0."""
        self._draw()
        while self._ended is None:
            self._wait()
            self._draw()
        return self._ended

    def _wait(self) -> None:
        """Until there is something new to show."""
        idle = self._paused or self._coming is not None
        # In the background a look at the keys would stop this process.
        keys = [self._screen.keys] if self._screen.shown else []
        seconds = None if idle else max(0.0, self._due - time.monotonic())
        ready, _, _ = select.select([self._bell.heard, *keys], [], [], seconds)
        if self._bell.heard in ready:
            for number in self._bell.rings():
                self._heed(number)
        if self._screen.keys in ready and self._ended is None:
            self._obey(self._screen.typed())
        if not self._paused and self._coming is None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval
            self._coming = self._begin()
            if not self._screen.shown:
                self._anew = self._screen.enter()

    def _begin(self) -> Future[Sample]:
        """Take a look on a thread of its own, which the end of the process doesn't wait for."""
        coming: Future[Sample] = Future()

        def work() -> None:
            try:
                coming.set_result(self._look())
            except BaseException as mistake:  # noqa: BLE001 - raised anew where it is read.
                coming.set_exception(mistake)
            self._bell.ring()

        threading.Thread(target=work, name="kept-top", daemon=True).start()
        return coming

    def _heed(self, number: int) -> None:
        if number == _NEWS:
            self._take_in()
        elif number in _ENDING:
            self._ended = number
        elif number == signal.SIGTSTP:
            self._screen.stop()
            self._anew = True
        elif number == signal.SIGCONT:
            # After SIGSTOP, which nobody can heed, the shell has changed the terminal.
            self._anew = self._screen.enter()
        elif number == signal.SIGWINCH:
            self._anew = True

    def _take_in(self) -> None:
        coming, self._coming = self._coming, None
        if coming is None:
            return
        try:
            now = coming.result()
        except _UNANSWERED as fault:
            self._trouble = one_line(str(fault))
            return
        self._before, self._now = self._now, now
        self._trouble = ""

    def _obey(self, typed: str | None) -> None:
        if typed is None or "q" in typed.lower():
            self._ended = 0
            return
        for key in typed:
            if key == " ":
                self._paused = not self._paused
                self._due = time.monotonic()
            elif key in "?h":
                self._explaining = not self._explaining

    def _draw(self) -> None:
        if not self._screen.shown or self._ended is not None:
            return
        try:
            self._draw_on(*self._screen.size())
        except OSError:
            # The terminal has gone, and with it whoever could be told.
            self._ended = 0

    def _draw_on(self, width: int, height: int) -> None:
        footer = self._footer()
        if self._explaining:
            lines = explain(width, height, footer)
        else:
            lines = draw(self._before, self._now, width, height, footer)
        self._screen.show(lines[:height], width, anew=self._anew)
        self._anew = False

    def _footer(self) -> Line:
        keys = "q ends, space holds still, ? explains"
        if self._trouble:
            return Line(f"waiting for the daemon: {self._trouble}", "warning")
        if self._paused:
            return Line(f"held still; {keys}", "warning")
        return Line(f"every {self._interval:g} s; {keys}", "aside")
