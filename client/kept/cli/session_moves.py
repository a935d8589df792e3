"""`kept session export` and `kept session import`: conversations between the caller's files and the daemon.

They run in the caller's process, which opens the files.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from ..wire import OnSecret
from ..wire.session_move import Format, OnConflict
from .parse import Command
from .surface import Caller, Surface, the_caller
from .talk import SessionOrLast, session_id

STREAM = "-"

Target = Annotated[
    str, Meta(min_length=1, max_length=4096, description="The file to be written; - or none: standard output.")
]
Source = Annotated[str, Meta(min_length=1, max_length=4096, description="The file to be read; -: standard input.")]


class ExportToFile(Struct, frozen=True, kw_only=True):
    """Write a conversation to a file, or to standard output.

    Its JSON form has everything and can be imported; the others are for people. Credentials that were let through are
    in it as they are. A file that is there already is not replaced, unless --force says so.
    """

    id: SessionOrLast
    file: Target = STREAM
    format: Format = "json"
    tree: Annotated[bool, Meta(description="With all sessions that descend from it.")] = False
    force: Annotated[bool, Meta(description="Replace a file that is there.")] = False


class ImportFromFile(Struct, frozen=True, kw_only=True):
    """Take over conversations from a file that `kept session export` wrote in its JSON form.

    All of it is checked first, and takes effect in one step. A session whose id is there already is imported under a
    new id, unless --on-conflict says otherwise.
    """

    file: Source
    on_conflict: OnConflict = "new_id"
    on_secret: OnSecret | None = None


def export(wanted: ExportToFile, call: Caller, surface: Surface) -> int:
    """Fetch it part by part."""
    the_caller(surface)
    from .session_files import fetch  # noqa: PLC0415 - it opens files, which the daemon must never do

    return fetch(replace(wanted, id=session_id(wanted.id, call)), call, surface)


def import_(wanted: ImportFromFile, call: Caller, surface: Surface) -> int:
    """Send it part by part, and have it imported."""
    the_caller(surface)
    from .session_files import send  # noqa: PLC0415 - as above

    return send(wanted, call, surface)


SESSION_MOVES = (
    Command(
        ("session", "export"),
        ExportToFile,
        export,
        by_position=("id", "file"),
        as_typed=("file",),
        examples=(
            "kept session export 0190f3c2-7d1e-7b52-9c0e-5a1d3f6b8e20 talk.json --tree",
            "kept session export 0190f3c2-7d1e-7b52-9c0e-5a1d3f6b8e20 --format markdown",
        ),
    ),
    Command(
        ("session", "import"),
        ImportFromFile,
        import_,
        by_position=("file",),
        as_typed=("file",),
        examples=("kept session import talk.json", "kept session import - --on-conflict skip"),
    ),
)
