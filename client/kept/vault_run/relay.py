"""Runs a command that is lent secrets, and passes its output on as it comes, without them.

The command writes into a pipe, or into a terminal of its own where the caller has one; each is one stream with one
`Scrubber`. Where standard output and error go to the same place, they are the same stream, so that their order stays.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack

from ..thin import REFUSED, Refusal
from . import Launch
from .child import Child, out_of_the_way, started, stop_here
from .scrub import Scrubber
from .stage import Stage

QUIET_SECONDS = 0.1
"""After so long without output the beginning of what may be a secret is shown, `SHOWN_BYTES` at most: it may as well be
the end of a question that somebody is to answer."""

_NOBODY_READS = (errno.EPIPE, errno.EIO)
"""Of a pipe, and of a terminal that has gone."""

CHUNK_BYTES = 65_536

LAST_BYTES = 1024 * 1024
"""The most that is taken of each stream once the command has ended: more than a pipe holds, so that it is all that the
command itself has written."""


def run(launch: Launch, environ: Mapping[str, str]) -> int:
    """Run it to its end, with `environ` and what is added to it; its exit code, or 128 and the number of the signal
    that ended it. Raises `NotStarted` and `CannotHide`, before anything was done, and `Refusal` where its output went
    nowhere, as on a full disk."""
    with ExitStack() as stack:
        streams: list[_Stream] = []
        stage = None
        outputs: dict[int, int] = {}
        if launch.hidden:
            if launch.terminal and Stage.is_wanted():
                stage = stack.enter_context(Stage())
                streams.append(_Stream(stage.master, 1, launch, is_pipe=False))
            is_one = os.path.sameopenfile(1, 2) or (stage is not None and os.isatty(2))
            for number in (2,) if stage else (1, 2):
                if number == 1 or not is_one:
                    reading, outputs[number] = _pipe()
                    streams.append(_Stream(reading, number, launch, is_pipe=True))
                    stack.callback(streams[-1].shut)
                elif stage is None:
                    outputs[2] = outputs[1]
        child = stack.enter_context(started(launch, outputs, environ, stage.path if stage else None))
        for ours in set(outputs.values()):
            os.close(ours)
        return _Relay(child, streams, stage).run()


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    return reading, out_of_the_way(writing)


class _Stream:
    """What the command writes into one pipe or terminal."""

    def __init__(self, source: int, target: int, launch: Launch, *, is_pipe: bool) -> None:
        self.source = source
        self._is_pipe = is_pipe
        self.open = True
        self.due: float | None = None
        """When what is held is shown."""
        self.lost: str | None = None
        """Why what the command printed could not be passed on, though somebody waits for it."""
        self._target = target
        self._scrubber = Scrubber(launch.hidden)

    def take(self, most: int = CHUNK_BYTES) -> int:
        """Pass on what has come; how much it was."""
        try:
            piece = os.read(self.source, most)
        except BlockingIOError:
            return 0
        except OSError:
            piece = b""  # A terminal that nobody has open any more.
        if piece:
            self._give(self._scrubber.feed(piece))
            self.due = time.monotonic() + QUIET_SECONDS if self._scrubber.holds else None
        else:
            self.end()
        return len(piece)

    def show(self) -> None:
        """Nothing has come for a while."""
        self.due = None
        self._give(self._scrubber.pause())

    def end(self) -> None:
        """Nothing more comes."""
        if self.open:
            self.open = False
            self.due = None
            self._give(self._scrubber.close())

    def drain(self) -> None:
        """Pass on what the command has left there, and no more."""
        left = LAST_BYTES
        while self.open and left > 0 and (count := self.take(min(left, CHUNK_BYTES))):
            left -= count
        self.end()

    def _give(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[os.write(self._target, rest) :]
            except BlockingIOError:
                select.select([], [self._target], [])
            except OSError as fault:
                # The command learns that from its own next write; where it makes none, from what is said of it here.
                if fault.errno not in _NOBODY_READS:
                    self.lost = fault.strerror or ""
                self.open = False
                self.due = None
                self.shut()
                return

    def shut(self) -> None:
        """Give the pipe back."""
        if self._is_pipe:
            self._is_pipe = False
            os.close(self.source)


class _Relay:
    """One run, from the start of the command to its end."""

    def __init__(self, child: Child, streams: list[_Stream], stage: Stage | None) -> None:
        self._child = child
        self._streams = streams
        self._stage = stage

    def run(self) -> int:
        while self._child.code is None:
            self._step()
        for stream in self._streams:
            stream.drain()
        lost = next((stream.lost for stream in self._streams if stream.lost is not None), None)
        if lost is not None:
            raise Refusal(f"what the command printed can't be passed on: {lost}", self._child.code or REFUSED)
        return self._child.code

    def _step(self) -> None:
        sources = {stream.source: stream for stream in self._streams if stream.open}
        readable = [self._child.woken, *sources, *(self._stage.keys() if self._stage else ())]
        writable = self._stage.waiting() if self._stage else []
        ready, free, _ = select.select(readable, writable, [], self._patience())
        for descriptor in ready:
            if descriptor == self._child.woken:
                self._follow(self._child.look())
            elif descriptor in sources:
                sources[descriptor].take()
            elif self._stage and self._stage.type() and self._child.stays(self._stage.front()):
                self._stop(self._stage, all_of_us=True)
        if free and self._stage:
            self._stage.press()
        now = time.monotonic()
        for stream in self._streams:
            if stream.due is not None and stream.due <= now:
                stream.show()

    def _follow(self, told: bytes) -> None:
        """Do as a shell, or the window, has said."""
        if self._stage is None:
            return
        stops = signal.SIGTSTP in told and told.rindex(signal.SIGTSTP) > told.rfind(signal.SIGCONT)
        if stops:
            self._stop(self._stage, all_of_us=False)
        elif signal.SIGCONT in told:
            self._go_on(self._stage)
        elif signal.SIGWINCH in told:
            self._stage.resize()

    def _stop(self, stage: Stage, *, all_of_us: bool) -> None:
        """Stop the command, and this process, until it is continued."""
        stage.give_back()
        self._child.halt(stage.front())
        stop_here(all_of_us=all_of_us)
        self._go_on(stage)

    def _go_on(self, stage: Stage) -> None:
        stage.take()
        self._child.go_on()

    def _patience(self) -> float | None:
        due = [stream.due for stream in self._streams if stream.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None
