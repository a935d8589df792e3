"""The pager: a program of the person's choice that shows long text screen by screen, as git uses it.

KEPT_PAGER, else PAGER, else `less`; none where it is empty or `cat`, or isn't there. Where LESS is not set it is FRX:
a text of one screen is printed and left, colours are shown, and the screen stays as it is at the end. A person who
leaves it before the end is no fault.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

_LESS = "FRX"


class Left(Exception):
    """The person has left the pager."""


def words_of(environ: Mapping[str, str]) -> list[str]:
    """The program and its arguments; empty where the text is to be printed at once."""
    chosen = environ.get("KEPT_PAGER", environ.get("PAGER", "less"))
    try:
        words = shlex.split(chosen)
    except ValueError:
        return []
    if not words or words == ["cat"] or environ.get("TERM", "dumb") in ("", "dumb"):
        return []
    return words if shutil.which(words[0], path=environ.get("PATH")) else []


@contextmanager
def paged(words: list[str], environ: Mapping[str, str]) -> Iterator[Callable[[str], object]]:
    """A function that takes text for the pager; returns when the person has read it. Ctrl-C is the pager's."""
    before = signal.signal(signal.SIGINT, _leave_it)
    try:
        pager = subprocess.Popen(words, stdin=subprocess.PIPE, env={"LESS": _LESS, **environ})  # noqa: S603 - no shell
        assert pager.stdin is not None
        stream = pager.stdin

        def show(text: str) -> None:
            try:
                stream.write(text.encode("utf-8", "replace"))
                stream.flush()
            except BrokenPipeError:
                raise Left from None

        try:
            with suppress(Left):
                yield show
        finally:
            with suppress(BrokenPipeError):
                stream.close()
            pager.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_it(_number: int, _frame: FrameType | None) -> None:
    """Not ignored, since the pager would inherit that."""
