"""What `kept daemon ...` says of a change to the service: files, then what the manager was told, or would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from .render import show_json
from .surface import FINE, Surface
from .text import clean

if TYPE_CHECKING:
    from ..service import Change, FileChange

DryRun = Annotated[bool, Meta(description="Only say what would be done.")]

_DONE = {"write": "wrote", "replace": "replaced", "keep": "left as it is", "remove": "removed"}
_WOULD = {"write": "would write", "replace": "would replace", "keep": "is already", "remove": "would remove"}


def would(what: str, surface: Surface) -> int:
    """What would be done where no manager has a part in it; the exit code."""
    if surface.json:
        show_json({"dry_run": True, "would": what}, surface)
    else:
        surface.line(f"would {what}")
    return FINE


def tell_change(change: Change, surface: Surface, already: str) -> int:
    """What was done to the service, or would be; `already` where that is nothing. The exit code."""
    if surface.json:
        show_json(change, surface)
        return FINE
    if change.is_nothing and (change.supervised or not change.notes):
        surface.line(f"{change.service}: {already}")
    else:
        for file in change.files:
            _tell_file(file, change.dry_run, surface)
        for command in change.commands:
            surface.line(f"{'would run' if change.dry_run else 'ran'}: {clean(command)}")
    for note in change.notes:
        surface.line(clean(note))
    if change.pid is not None:
        surface.line(f"keptd is running (pid {change.pid})")
    return FINE


def _tell_file(file: FileChange, dry_run: bool, surface: Surface) -> None:
    by_hand = f", a symbolic link to {file.link}" if file.link else ", which was edited by hand" if file.edited else ""
    surface.line(f"{(_WOULD if dry_run else _DONE)[file.action]} {clean(file.path)}{clean(by_hand)}")
    if file.diff and (dry_run or file.edited):
        surface.out(clean(file.diff))
