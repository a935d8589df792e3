"""Where a secret comes from that may not stand in a command line: a descriptor, a terminal that doesn't show what is
typed, or a program that asks for it.

Each is read into a buffer that is overwritten as soon as its text was taken. The text itself can't be: Python's strings
are never overwritten, and go back to the allocator as they are when nothing refers to them any more.

Refuses a terminal as a descriptor, since that would show what is typed; and whatever is too long, not UTF-8, or not
there. No refusal holds anything of what was read.
"""

from __future__ import annotations

import hmac
import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..wire import VALUE_BYTES
from .no_echo import LINE_BYTES, at_terminal, open_terminal, wipe
from .surface import Asked, UsageError

SECRET_BYTES = VALUE_BYTES + 1
"""The most that is read: the longest value, and the line feed behind it."""

ASKPASS_SECONDS = 300.0
"""How long a program may ask."""

TRIES = 3
"""How often a new password may be typed differently the second time."""

_UNTYPED = re.compile(r"[\x00-\x1f\x7f]")
"""What a terminal takes for a key, or for the end of what is typed."""

_AGAIN = "The same once more: "
_DIFFERENT = "That was not the same. "


def secret(asked: Asked, environ: Mapping[str, str]) -> str:
    """The text that was asked for: from its descriptor, where it has one; else from a person, who gives a new password
    twice. Raises `UsageError` where nobody is there, or what is given can't be taken, as its `check` has it."""
    if asked.descriptor is not None:
        text = _text(from_descriptor(asked.descriptor, is_file=asked.is_file), asked.option)
        if asked.is_new and _UNTYPED.search(text):
            raise UsageError(
                "the new password has a line end in its midst, or another control character, which nobody can type",
                "Give it one line without them. A file of Windows ends its lines with one more character than others.",
            )
        return text
    ask = _person(asked, environ)
    for prompt in (asked.prompt, *[_DIFFERENT + asked.prompt] * (TRIES - 1)):
        first = _text(ask(prompt), asked.option)
        if not first:
            # Return was pressed too soon, or too often.
            raise UsageError("nothing was typed", asked.empty)
        if asked.check is not None:
            # Nobody types a second time what can't be taken.
            asked.check(first)
        if not asked.is_new or hmac.compare_digest(first.encode(), _text(ask(_AGAIN), asked.option).encode()):
            return first
    raise UsageError("the two were not the same, so nothing was changed")


def _person(asked: Asked, environ: Mapping[str, str]) -> Callable[[str], bytearray]:
    """How a person is asked: at the terminal, or by a program where there is none, or where the person prefers one."""
    program, rather = askpass(environ)
    if program and rather:
        return lambda prompt: from_program(program, prompt, environ)
    try:
        os.close(open_terminal())
    except OSError:
        if program:
            return lambda prompt: from_program(program, prompt, environ)
        raise UsageError("there is no terminal at which to ask for it", asked.ways) from None
    return at_terminal


def askpass(environ: Mapping[str, str]) -> tuple[str, bool]:
    """The program that asks (empty where there is none), and whether it is to ask even where there is a terminal.

    As ssh(1) has it: SSH_ASKPASS needs a display, and SSH_ASKPASS_REQUIRE is `force` (always, without a display),
    `prefer` or `never`. KEPT_ASKPASS comes first, and needs no display.
    """
    own, others = environ.get("KEPT_ASKPASS", ""), environ.get("SSH_ASKPASS", "")
    require = environ.get("SSH_ASKPASS_REQUIRE", "").lower()
    if require == "never":
        return "", False
    has_display = bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    program = own or (others if has_display or require == "force" else "")
    return program, require in ("force", "prefer")


def from_descriptor(descriptor: int, *, is_file: bool = False) -> bytearray:
    """All of it, without one line feed at its end; it is closed afterwards. Several lines of what may be a file keep
    theirs: ssh takes no key without it."""
    try:
        if os.isatty(descriptor):
            raise UsageError(
                f"descriptor {descriptor} is a terminal, which would show what is typed",
                "Leave the option out, and kept asks without showing it.",
            )
        buffer = _read_all(descriptor)
    except OSError as fault:
        raise UsageError(f"descriptor {descriptor} can't be read: {fault.strerror}") from None
    if descriptor > 2:
        os.close(descriptor)
    last = len(buffer) - 1
    if buffer[-1:] == b"\n" and not (is_file and buffer.find(b"\n") < last):
        del buffer[last:]
    return buffer


def _read_all(descriptor: int) -> bytearray:
    buffer = bytearray(SECRET_BYTES + 1)
    size = 0
    with memoryview(buffer) as view:
        while size <= SECRET_BYTES:
            try:
                count = os.readv(descriptor, [view[size:]])
            except BlockingIOError:
                select.select([descriptor], [], [])
                continue
            if not count:
                break
            size += count
    if size > SECRET_BYTES:
        wipe(buffer)
        raise UsageError(f"what descriptor {descriptor} holds is longer than {SECRET_BYTES:,} bytes")
    del buffer[size:]
    return buffer


def from_program(program: str, prompt: str, environ: Mapping[str, str]) -> bytearray:
    """The first line that the program says; it is started without a shell, with the prompt as its argument."""
    buffer = bytearray(LINE_BYTES + 1)
    end = time.monotonic() + ASKPASS_SECONDS
    try:
        asking = subprocess.Popen(  # noqa: S603 - the program that the person has chosen, without a shell
            [program, prompt], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(environ)
        )
    except OSError as fault:
        raise UsageError(f"the askpass program can't be started: {fault.strerror}") from None
    assert asking.stdout is not None
    try:
        size = _said(asking, buffer, end)
        code = asking.wait(max(0.0, end - time.monotonic())) if size is not None else -1
    except subprocess.TimeoutExpired:
        size, code = None, -1
    finally:
        # Whoever sent Ctrl-C waits for no dialogue.
        asking.kill()
        asking.wait()
        asking.stdout.close()
    if size is None or code:
        wipe(buffer)
        raise UsageError("the askpass program gave no answer" if size is None else "the askpass program was cancelled")
    del buffer[size:]
    for ending in (b"\n", b"\r"):
        at = buffer.find(ending)
        if at >= 0:
            del buffer[at:]
    return buffer


def _said(asking: subprocess.Popen[bytes], buffer: bytearray, end: float) -> int | None:
    """How much it said until it ended, or until the end of its output; None where that is too much, or too late. What
    it leaves behind may keep the output open for ever."""
    assert asking.stdout is not None
    output = asking.stdout.fileno()
    os.set_blocking(output, False)
    size = 0
    with memoryview(buffer) as view, _end_of(asking) as ended:
        while size < len(buffer):
            if not select.select([output, *ended], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            try:
                count = os.readv(output, [view[size:]])
            except BlockingIOError:
                return size  # It has ended, and that was all.
            if not count:
                return size
            size += count
    return None


@contextmanager
def _end_of(asking: subprocess.Popen[bytes]) -> Iterator[tuple[int, ...]]:
    """A descriptor that can be read from when it has ended; none where the kernel has no such thing (before 5.3)."""
    try:
        ended = os.pidfd_open(asking.pid)
    except OSError:
        yield ()
        return
    try:
        yield (ended,)
    finally:
        os.close(ended)


def _text(buffer: bytearray, option: str) -> str:
    """The buffer's text; the buffer is overwritten."""
    try:
        return str(buffer, "utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"what was given for {option.removesuffix('-fd')} is not UTF-8",
            "Encode what is no text, with base64 for example.",
        ) from None
    finally:
        wipe(buffer)
