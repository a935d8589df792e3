"""The trash as people read it: what is in it, for how long, and how to have it back."""

from __future__ import annotations

from ..wire import Page
from ..wire.trash import Emptied, ListTrash, RestoreTrash, Trashed
from .surface import Surface
from .table import Row, show_rows
from .text import clean, one_line
from .views import Views, views


class _TrashRow(Row, frozen=True, kw_only=True):
    last_columns = ("by",)

    id: str
    label: str
    kind: str
    kept_for: str
    deleted: str
    by: str


def show_trash(page: Page[Trashed], surface: Surface) -> None:
    """One line for each thing, and how to have it back."""
    rows = [
        _TrashRow(
            id=clean(item.id),
            kind=one_line(item.entity),
            label=one_line(item.label),
            deleted=surface.when(item.deleted_at),
            kept_for=surface.how_far(item.purge_at),
            by=one_line(item.actor),
        )
        for item in page.items
    ]
    show_rows(
        rows,
        surface,
        nothing="the trash is empty",
        below="to have one back: kept trash restore ID",
        cursor=page.next_cursor,
    )


def show_untrashed(item: Trashed, surface: Surface) -> None:
    """What is back."""
    surface.line(f"restored the {one_line(item.entity)} {one_line(item.label)}")


def show_emptied(emptied: Emptied, surface: Surface) -> None:
    """How much is gone."""
    surface.line(f"removed {emptied.removed:,} for good" if emptied.removed else "nothing was there to remove")


TRASH: Views = views({ListTrash: show_trash, RestoreTrash: show_untrashed, Emptied: show_emptied})
