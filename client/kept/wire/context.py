"""context.bundle: what a session should know when it starts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from . import Id, Project, Read
from .errors import NotFound


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a bundle, why it is in, and what it costs."""

    id: str
    text: str
    why: str
    tokens: int
    stale: str | None = None
    """Why it should not be relied on; None where it is good."""


class Section(Struct, frozen=True, kw_only=True):
    """The entries of one kind, how many tokens they took, and how many were left out for want of room."""

    name: Annotated[
        str, Meta(description="`session`, `components`, `memories`, `decisions`, `errors`, `sessions` or `actions`.")
    ]
    title: str
    items: tuple[Item, ...]
    tokens: int
    left_out: int
    uncounted: bool = False
    """True where there may be more than `left_out` says: counting stops at 1,000 entries of a kind."""


class Bundle(Struct, frozen=True, kw_only=True):
    """The context, or only that it is unchanged."""

    etag: str
    unchanged: bool = False
    budget_tokens: int = 0
    tokens: int = 0
    sections: tuple[Section, ...] = ()
    markdown: str | None = None
    """The bundle as Markdown, where `format` asks for it."""


class BundleContext(Read[Bundle], frozen=True, kw_only=True):
    """Components, high-priority memories, open decisions, unresolved errors, how the last sessions ended, and recent
    actions, within a budget. For a session, first how far it and its parent have come.

    Sections fill by priority and never cut an entry in half. The same state gives the same bundle, byte for byte,
    and the same `etag`. A token is counted as four bytes of UTF-8.
    """

    method = "context.bundle"
    errors = (NotFound,)

    project: (
        Annotated[Project, Meta(description="Also what belongs to this project, before what is global.")] | None
    ) = None
    session: (
        Annotated[Id, Meta(description="The session that begins or goes on; its project counts where none is given.")]
        | None
    ) = None
    budget_tokens: Annotated[int, Meta(ge=100, le=200_000, description="How many tokens it may take.")] = 2000
    format: Annotated[Literal["json", "markdown"], Meta(description="Sections, or Markdown for a prompt.")] = "json"
    if_none_match: Annotated[str, Meta(max_length=64, description="The etag of a bundle at hand.")] | None = None
