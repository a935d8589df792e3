"""How long work behaves beside the daemon's other threads: on a thread of its own that yields to them, in small
pieces with rests between them, telling how far it is, and ending soon after it is asked to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import anyio

from ..clock import Clock
from ..domain import Tell, to_nobody
from ..store.completions import Completions

T = TypeVar("T")

PIECE = 1024 * 1024
"""Bytes between two ticks: about a millisecond's work."""

_NICENESS = 19
_LONGEST_REST = 0.05
_TELL_SECONDS = 0.25
_REPEAT_SECONDS = 2.0


class Stopped(Exception):
    """The work was asked to end before it was done."""


class Work:
    """The pace of one piece of long work, and the way to end it.

    `share` is the part of the time that it may work: with 0.5 it rests for as long as it has worked. What it
    shares with everybody else is the disk, the processor and the interpreter, so that the time a piece took, on
    whatever, is what the rest after it is measured by.
    """

    def __init__(self, clock: Clock, tell: Tell = to_nobody, share: float = 1.0) -> None:
        self._clock = clock
        self._tell = tell
        self._share = share
        self._stop = threading.Event()
        self._began = clock.monotonic()
        self._told = self._began - _TELL_SECONDS
        self._what = (0, 0, "")

    def stop(self) -> None:
        """Ask it to end. From any thread."""
        self._stop.set()

    def tick(self, *, rests: bool = True) -> None:
        """Between two pieces: rest, or raise `Stopped`."""
        rest = 0.0
        if rests and self._share < 1:
            spent = self._clock.monotonic() - self._began
            rest = min(spent * (1 / self._share - 1), _LONGEST_REST)
        if self._stop.wait(rest) if rest else self._stop.is_set():
            raise Stopped
        self._began = self._clock.monotonic()
        if self._what[2] and self._began - self._told >= _REPEAT_SECONDS:
            self.tell(*self._what)

    def tell(self, done: int, total: int, text: str) -> None:
        """Say how far it is, unless that was said a moment ago. A part that says nothing more of itself is told again
        now and then, so that whoever waits knows that it goes on."""
        now = self._clock.monotonic()
        if now - self._told >= _TELL_SECONDS or text != self._what[2]:
            self._told = now
            self._what = (done, total, text)
            self._tell(done, total, text)


async def on_thread(completions: Completions, work: Work, run: Callable[[], T]) -> T:
    """What `run` gives, from a thread that yields to others; on cancellation the work is stopped and awaited.

    A thread of a pool would not do: it serves others afterwards, and what was made nicer can't be undone.
    """
    outcome: Future[T] = Future()
    ended = anyio.Event()

    def body() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            outcome.set_result(run())
        except BaseException as fault:  # noqa: BLE001 - whatever it is, it is raised where the work is awaited.
            outcome.set_exception(fault)
        completions.post(ended.set)

    threading.Thread(target=body, name="keptd-backup", daemon=True).start()
    try:
        await ended.wait()
    finally:
        if not ended.is_set():
            work.stop()
            with anyio.CancelScope(shield=True):
                await ended.wait()
    return outcome.result()
