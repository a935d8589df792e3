"""A real daemon that is stopped for a while, as a suspended machine stops it."""

from __future__ import annotations

import json
import select
import signal
import socket
import threading
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.harness import PATIENCE, Process, request

INTERVAL = 1.0
STOPPED = 4.0
"""Seconds for which it is stopped: several intervals. Only real time shows this."""


def ask(connection: socket.socket, method: str, **params: Any) -> Any:
    connection.sendall(request(1, method, **params) + b"\n")
    reply = b""
    while not reply.endswith(b"\n"):
        assert select.select([connection], [], [], PATIENCE)[0], "no reply"
        reply += connection.recv(65_536)
    return json.loads(reply)["result"]


def starts(connection: socket.socket) -> list[datetime]:
    """When the job began, oldest first."""
    runs = ask(connection, "job.history", name="memory.expire", limit=1000)["items"]
    assert {run["result"] for run in runs} <= {"ok"}
    return sorted(datetime.fromisoformat(run["started_at"]) for run in runs)


def wait_for(connection: socket.socket, count: int) -> list[datetime]:
    while len(found := starts(connection)) < count:
        assert ask(connection, "daemon.status")["uptime_seconds"] < PATIENCE, "the job does not run"
        threading.Event().wait(INTERVAL / 10)
    return found


def test_a_job_that_was_due_many_times_while_the_process_stood_still_runs_once(home: Path) -> None:
    with Process(home, jobs__memory_expire=f"{INTERVAL:.0f}s") as process, process.connect() as connection:
        before = wait_for(connection, 2)
        process.popen.send_signal(signal.SIGSTOP)
        try:
            threading.Event().wait(STOPPED)
        finally:
            process.popen.send_signal(signal.SIGCONT)
        after = wait_for(connection, len(before) + 4)

    pauses = [later - earlier for earlier, later in pairwise(after)]
    assert min(pauses) >= timedelta(seconds=INTERVAL)
    assert max(pauses) >= timedelta(seconds=STOPPED - INTERVAL)
