"""Commands that run in the caller's process only: they stream to its terminal, or start programs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..wire.daemon import Status
from ..wire.data import DeleteAll
from ..wire.event import Change, Event, Lost, Subscribe, Topic
from .parse import Command
from .render import show_json
from .surface import FINE, Caller, Surface, UsageError, the_caller
from .text import as_json, clean, one_line, size, stamp

File = Annotated[str, Meta(min_length=1, max_length=4096, description="The file.")]


class Watch(Struct, frozen=True, kw_only=True):
    """Follow what changes, until Ctrl-C."""

    topics: Annotated[
        tuple[Topic, ...],
        Meta(
            max_length=32, description="Only these: `memory`, one method: `memory.set`, or one event: `message.sent`."
        ),
    ] = ()
    since: Annotated[int, Meta(ge=0, description="Begin after this place in the change log.")] | None = None


class Tour(Struct, frozen=True, kw_only=True):
    """Show what kept does, on a folder's own git history.

    In a home of its own, which is removed at the end: four writers record the history at once, the daemon is killed
    in the middle and started again, and every acknowledged write is looked up.
    """

    folder: Annotated[str, Meta(min_length=1, max_length=4096, description="A folder with a git history.")] = "."
    commits: Annotated[int, Meta(ge=1, le=10_000, description="How many commits to record at most.")] = 400


class ExportAll(Struct, frozen=True, kw_only=True):
    """Put everything that is kept into one file, for another machine or for safe keeping.

    All of it is in there as it is: guard the file as you guard the database. A file that is there already is never
    replaced.
    """

    file: File


class ImportAll(Struct, frozen=True, kw_only=True):
    """Take over everything from a file that `kept data export-all` made.

    It is checked as a whole first, and takes effect in one step. A home that is not empty is refused, unless it is to
    be replaced; then a backup is made first.
    """

    file: File
    on_conflict: Annotated[
        Literal["refuse", "replace"], Meta(description="What to do where the home is not empty.")
    ] = "refuse"


class DeleteEverything(Struct, frozen=True, kw_only=True):
    """Delete everything that is kept, so that nothing of it can be read from kept's files. There is no way back.

    Asks for a confirmation that is typed. File systems that write to new places (copy on write, snapshots, flash disks)
    may keep former blocks that no file shows any more.
    """

    confirm: Annotated[str, Meta(max_length=1000, description="The confirmation, where nobody can type it.")] | None = (
        None
    )
    backups: Annotated[bool, Meta(description="Backups and quarantined files as well.")] = False


def watch(wanted: Watch, _: Caller, surface: Surface) -> int:
    """Print changes as they come, one line each."""

    def begun(seq: int) -> None:
        surface.note(f"following from change {seq}; Ctrl-C ends")

    for event in the_caller(surface).follow(wanted.topics or None, wanted.since, begun):
        _show(event, surface)
    return FINE


def subscribe(wanted: Subscribe, call: Caller, surface: Surface) -> int:
    """`kept event subscribe` follows, as `kept watch` does: a subscription ends with its connection."""
    return watch(Watch(topics=wanted.topics or (), since=wanted.since), call, surface)


def _show(event: Event | Lost, surface: Surface) -> None:
    if surface.json:
        surface.line(as_json(event, 0))
    elif isinstance(event, Lost):
        passed_over = f"changes {event.resume_from + 1} to {event.until}"
        surface.err(f"passed over {passed_over}: kept event list --since {event.resume_from}\n")
    else:
        surface.line(_told(event.change, surface))


def _told(change: Change, surface: Surface) -> str:
    when = change.at.astimezone().strftime("%H:%M:%S") if surface.terminal else stamp(change.at)
    what = one_line(change.label or change.entity_id)
    return f"{when}  {clean(change.method):<18}  {what}  ({one_line(change.actor.client)})"


def tour(wanted: Tour, _: Caller, surface: Surface) -> int:
    """Run the tour; its parts are loaded only now."""
    the_caller(surface)
    from .tour import run  # noqa: PLC0415 - nothing else needs processes and threads

    return run(wanted.folder, wanted.commits, surface)


def export_all(wanted: ExportAll, call: Caller, surface: Surface) -> int:
    """Fetch an archive into a file."""
    the_caller(surface)
    from .transfer import fetch  # noqa: PLC0415 - it opens files, which the daemon must never do

    archive = fetch(wanted.file, call, surface)
    if surface.json:
        show_json(archive, surface)
    else:
        rows = sum(archive.rows.values())
        surface.line(f"exported {rows:,} rows and {archive.files} files: {size(archive.bytes)}")
        surface.line(f"SHA-256 {archive.sha256}")
    return FINE


def import_all(wanted: ImportAll, call: Caller, surface: Surface) -> int:
    """Send an archive, and have it imported."""
    the_caller(surface)
    from .transfer import send  # noqa: PLC0415 - as above

    imported = send(wanted.file, wanted.on_conflict, call, surface)
    if surface.json:
        show_json(imported, surface)
        return FINE
    surface.line(f"imported {sum(imported.rows.values()):,} rows and {imported.files} files")
    if imported.backup_id is not None:
        undo = f"kept backup restore {clean(imported.backup_id)}"
        surface.line(f"{imported.replaced:,} rows were replaced; {undo} brings them back")
    return FINE


def delete_all(wanted: DeleteEverything, call: Caller, surface: Surface) -> int:
    """Delete everything, once it is confirmed."""
    here = the_caller(surface)
    home = call(Status()).home
    sentence = f"delete everything in {home.rstrip('/').rpartition('/')[2]}"
    confirmed = wanted.confirm
    if confirmed is None:
        also = "with all backups" if wanted.backups else "but for the backups"
        confirmed = here.ask(f"Everything in {clean(home)} will be gone, {also}.\nType: {clean(sentence)}\n> ")
    if confirmed is None:
        raise UsageError("nobody is there to confirm it", f'Send --confirm "{clean(sentence)}"')
    if confirmed.strip() != sentence:
        raise UsageError("not confirmed, so nothing was deleted", f"The words are: {clean(sentence)}")
    deleted = call(DeleteAll(confirm=sentence, backups=wanted.backups))
    if surface.json:
        show_json(deleted, surface)
    else:
        surface.line(f"deleted {deleted.rows:,} rows and {deleted.files} files")
        if deleted.left:
            surface.line(f"left as they are: {', '.join(map(clean, deleted.left))} (--backups deletes them as well)")
    return FINE


LOCAL = (
    Command(
        ("data", "export-all"),
        ExportAll,
        export_all,
        by_position=("file",),
        examples=("kept data export-all everything.kept",),
    ),
    Command(
        ("data", "import-all"),
        ImportAll,
        import_all,
        by_position=("file",),
        examples=("kept data import-all everything.kept --on-conflict replace",),
    ),
    Command(("data", "delete-all"), DeleteEverything, delete_all, examples=("kept data delete-all --backups",)),
    Command(
        ("watch",),
        Watch,
        watch,
        by_position=("topics",),
        examples=("kept watch", "kept watch memory decision.add", "kept watch --since 0 --json"),
    ),
    Command(("tour",), Tour, tour, by_position=("folder",), examples=("kept tour .",), starts=False),
    Command(("event", "subscribe"), Subscribe, subscribe),
)
