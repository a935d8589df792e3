"""Processes as /proc shows them to whoever runs the tests."""

from __future__ import annotations

import os
import select
from pathlib import Path

from kept.holder import holder

from .harness import PATIENCE


def has_variable(process: Path, variable: bytes, data_dir: str) -> bool:
    """Whether a process, by its folder below /proc, has this in its environment (`NAME=value`).

    A daemon shows its environment to root alone: of one, whether it has the home with this data folder. Raises
    `OSError` for a process that has ended.
    """
    try:
        return variable in (process / "environ").read_bytes().split(b"\0")
    except PermissionError:
        found = holder(data_dir)
        return found is not None and str(found[0]) == process.name


def await_end(pid: int) -> None:
    """Wait until the process has ended, unless it has already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE)[0], f"process {pid} does not end"
    finally:
        os.close(descriptor)
