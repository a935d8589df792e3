"""Conversations between the caller's files and the daemon, in parts: never more than a part is in memory.

What comes from standard input is put aside in a file without a name first, since its size and checksum are told before
the first part is sent.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..wire.session_move import ExportPart, ExportSession, ImportedSessions, ImportSessions
from .render import show_json
from .session_moves import STREAM, ExportToFile, ImportFromFile
from .surface import FINE, Caller, Surface, the_caller
from .text import clean, counted, harmless_json, size
from .transfer import beside, delivered, told

_SHOWN = 20
"""Sessions that are told one by one."""


def fetch(wanted: ExportToFile, call: Caller, surface: Surface) -> int:
    """Write an export to the file, or to standard output: there as it is, on a terminal made harmless."""
    if wanted.file == STREAM:
        harmless = harmless_json if wanted.format == "json" else clean
        for part in _parts(wanted, call):
            surface.out(harmless(part.text) if surface.terminal else part.text)
        return FINE
    total = done = 0
    with beside(wanted.file, replace=wanted.force) as target:
        for part in _parts(wanted, call):
            data = part.text.encode()
            with told(wanted.file):
                target.write(data)
            total += len(data)
            done = part.done
    if surface.json:
        show_json({"file": wanted.file, "bytes": total, "messages": done}, surface)
    else:
        surface.line(f"exported {counted(done, 'message')}: {size(total)}")
    return FINE


def send(wanted: ImportFromFile, call: Caller, surface: Surface) -> int:
    """Send a file, and tell what became of each session in it."""
    with _opened(wanted.file, surface) as source, delivered(source, call, surface) as upload_id:
        imported = call(ImportSessions(upload_id=upload_id, on_conflict=wanted.on_conflict, on_secret=wanted.on_secret))
    if surface.json:
        show_json(imported, surface)
    else:
        _tell(imported, surface)
    return FINE


def _parts(wanted: ExportToFile, call: Caller) -> Iterator[ExportPart]:
    cursor = None
    while True:
        part = call(ExportSession(id=wanted.id, format=wanted.format, tree=wanted.tree, cursor=cursor))
        yield part
        cursor = part.next_cursor
        if cursor is None:
            return


@contextmanager
def _opened(file: str, surface: Surface) -> Iterator[BinaryIO]:
    """A file that can be read twice."""
    if file == STREAM:
        with told("standard input"), tempfile.TemporaryFile(prefix="kept-") as aside:
            shutil.copyfileobj(the_caller(surface).input(), aside)
            aside.seek(0)
            yield aside
    else:
        with told(file), open(file, "rb") as source:
            yield source


def _tell(imported: ImportedSessions, surface: Surface) -> None:
    sessions = imported.sessions
    arrived = [each for each in sessions if each.action != "skipped"]
    for each in sessions[:_SHOWN]:
        former = f", was {clean(each.former_id)}" if each.former_id not in (None, each.id) else ""
        surface.line(f"{clean(each.action):<8}  {clean(each.id)}  {counted(each.messages, 'message')}{former}")
    if len(sessions) > _SHOWN:
        surface.line(f"... and {len(sessions) - _SHOWN:,} more")
    surface.line(f"imported {counted(imported.messages, 'message')} in {len(arrived):,} of {len(sessions):,} sessions")
    for warning in imported.warnings[:_SHOWN]:
        surface.note(f"note: {clean(warning)}")
    if len(imported.warnings) > _SHOWN:
        surface.note(f"note: and {len(imported.warnings) - _SHOWN:,} more; --json shows all")
