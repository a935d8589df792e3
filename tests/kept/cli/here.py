"""The command line as a function of this process, in the environment of another: the start of an interpreter costs many
times what most commands do.

For what is about text, findings and exit codes. What is about a process (its streams, its signals, its end, what it
loads) takes `test_process.kept`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from unittest.mock import patch

from kept.cli import main

from .test_process import SECONDS, environment


def kept_here(home: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What a process would have ended with, and printed. Fails where it doesn't end by itself."""
    printed, told = BytesIO(), BytesIO()
    out, err = (TextIOWrapper(stream, "utf-8", write_through=True) for stream in (printed, told))
    surroundings = {**environment(home), **more}
    with patch.dict(os.environ, surroundings, clear=True), redirect_stdout(out), redirect_stderr(err), _ends():
        code = main(list(argv))
    return subprocess.CompletedProcess(argv, code, printed.getvalue().decode(), told.getvalue().decode())


@contextmanager
def _ends() -> Iterator[None]:
    """Interrupt what waits for ever, as for somebody who writes into a pipe."""

    def late(_number: int, _frame: object) -> None:
        raise AssertionError(f"it goes on after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
