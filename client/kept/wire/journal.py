"""action.*, decision.*, error.*: what happened. Append-only, but for what `resolve` sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct

from . import Cursor, Id, Limit, Name, Page, Passed, Project, Query, Read, Syntax, Text, Time, Value, Version, Write
from .errors import Conflict, NotFound

ActionId = NewType("ActionId", str)
DecisionId = NewType("DecisionId", str)
ErrorId = NewType("ErrorId", str)

Since = Annotated[Time, Meta(tz=True, description="Only what is as new as this or newer (RFC 3339).")]


class Action(Struct, frozen=True, kw_only=True):
    """Something that was done."""

    id: ActionId
    action: str
    details: Any
    project: str | None
    session_id: str | None
    created_at: Time
    actor: str


class Resolution(Struct, frozen=True, kw_only=True):
    """A former outcome or resolution, until `replaced_at`."""

    text: str
    actor: str
    replaced_at: Time


class Decision(Struct, frozen=True, kw_only=True):
    """What was decided, why, and what came of it. Open until it has an outcome."""

    id: DecisionId
    decision: str
    reasoning: str
    alternatives: tuple[str, ...]
    status: Annotated[str, Meta(description="`open`, `resolved` or `superseded`, so far.")]
    outcome: str | None
    former_outcomes: tuple[Resolution, ...]
    supersedes: DecisionId | None
    superseded_by: DecisionId | None
    contradicts: tuple[str, ...]
    project: str | None
    session_id: str | None
    created_at: Time
    updated_at: Time
    version: int
    actor: str


class FoundDecision(Decision, frozen=True, kw_only=True):
    """A search result: the decision, how well it fits (higher is better), and the place that fits."""

    score: float
    snippet: str


class RecordedError(Struct, frozen=True, kw_only=True):
    """Something that went wrong. Unresolved until it has a resolution."""

    id: ErrorId
    error: str
    context: Any
    status: Annotated[str, Meta(description="`open` or `resolved`, so far.")]
    resolution: str | None
    former_resolutions: tuple[Resolution, ...]
    project: str | None
    session_id: str | None
    created_at: Time
    updated_at: Time
    version: int
    actor: str


class LogAction(Write[Action], frozen=True, kw_only=True):
    """Record something that was done."""

    method = "action.log"

    action: Annotated[Text, Meta(description="What was done.")]
    details: Value = None
    project: Project | None = None
    session_id: Id | None = None


class ListActions(Read[Page[Action]], frozen=True, kw_only=True):
    """Actions, newest first."""

    method = "action.list"

    project: Project | None = None
    since: Since | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class AddDecision(Write[Decision], frozen=True, kw_only=True):
    """Record a decision and its reasons.

    `supersedes` marks an older decision as replaced. `contradicts` names memory keys (in the decision's project and the
    global scope) that it makes untrue, so that a context bundle shows them as stale.
    """

    method = "decision.add"
    errors = (NotFound, Conflict)

    decision: Annotated[Text, Meta(description="What was decided.")]
    reasoning: Annotated[Text, Meta(description="Why.")]
    alternatives: Annotated[tuple[Text, ...], Meta(max_length=32, description="What else was considered.")] = ()
    supersedes: Id | None = None
    contradicts: Annotated[
        tuple[Name, ...], Meta(max_length=32, description="Memory keys that are no longer true.")
    ] = ()
    project: Project | None = None
    session_id: Id | None = None


class ResolveDecision(Write[Decision], frozen=True, kw_only=True):
    """Record what came of a decision. A former outcome stays in its history."""

    method = "decision.resolve"
    errors = (NotFound, Conflict)

    id: Id
    outcome: Annotated[Text, Meta(description="What came of it.")]
    if_version: Version | None = None


class GetDecision(Read[Decision], frozen=True, kw_only=True):
    """One decision."""

    method = "decision.get"
    errors = (NotFound,)

    id: Id


class ListDecisions(Read[Page[Decision]], frozen=True, kw_only=True):
    """Decisions, newest first."""

    method = "decision.list"

    status: Annotated[Literal["open", "resolved", "superseded"], Meta(description="Only these.")] | None = None
    project: Project | None = None
    since: Since | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class SearchDecisions(Read[Page[FoundDecision]], frozen=True, kw_only=True):
    """Decisions whose text, reasoning, alternatives or outcome fit the words, best first."""

    method = "decision.search"

    query: Query
    project: Project | None = None
    syntax: Syntax = "words"
    limit: Limit = 20
    offset: Passed = 0


class RecordError(Write[RecordedError], frozen=True, kw_only=True):
    """Record something that went wrong."""

    method = "error.record"

    error: Annotated[Text, Meta(description="What went wrong.")]
    context: Value = None
    project: Project | None = None
    session_id: Id | None = None


class ResolveError(Write[RecordedError], frozen=True, kw_only=True):
    """Record how an error was resolved. A former resolution stays in its history."""

    method = "error.resolve"
    errors = (NotFound, Conflict)

    id: Id
    resolution: Annotated[Text, Meta(description="What resolved it.")]
    if_version: Version | None = None


class ListErrors(Read[Page[RecordedError]], frozen=True, kw_only=True):
    """Errors, newest first."""

    method = "error.list"

    status: Annotated[Literal["open", "resolved"], Meta(description="Only these.")] | None = None
    project: Project | None = None
    since: Since | None = None
    limit: Limit = 50
    cursor: Cursor | None = None
