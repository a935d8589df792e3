"""The vault as people read it: how it is, what is in it, who used it, and the recovery code. A value is shown by
`show_secret` alone."""

from __future__ import annotations

from ..wire import Page
from ..wire.vault import (
    Access,
    AuditVault,
    Entry,
    FoundEntry,
    ListRequests,
    ListSecrets,
    OpenEntry,
    RecoveryCode,
    Request,
    Requests,
    Rotated,
    SearchSecrets,
    VaultStatus,
)
from .prose import paragraph
from .surface import Surface
from .table import Row, show_rows
from .text import as_json, clean, counted, duration, one_line
from .views import Views, views

_CODE_COLUMNS = 4

_CODE_WARNING = (
    "Whoever has these words can open the vault, without the password. Write them down and keep them away from this "
    "machine; they are not shown again. They are good until kept vault rotate, or until the next kept vault export-key."
)


class _EntryRow(Row, frozen=True, kw_only=True):
    last_columns = ("tags",)

    name: str
    category: str
    tags: str
    read_by: str
    changed: str


class _FoundRow(Row, frozen=True, kw_only=True):
    last_columns = ("read_by",)

    name: str
    category: str
    found: str
    read_by: str


class _AccessRow(Row, frozen=True, kw_only=True):
    whole_columns = ("entry",)
    last_columns = ("pid", "entry")

    at: str
    action: str
    outcome: str
    by: str
    entry: str
    pid: int


class _RequestRow(Row, frozen=True, kw_only=True):
    last_columns = ("pid",)

    id: str
    name: str
    wants: str
    agent: str
    asked: str
    time_left: str
    pid: int


def show_status(status: VaultStatus, surface: Surface) -> None:
    """A sentence, and the next step."""
    paragraph(_sentence(status, surface), surface)
    if status.problem:
        paragraph(clean(status.problem), surface)
    if status.failures:
        seconds = max(1.0, status.retry_after_ms / 1000)
        wait = f"; the next one has to wait {duration(seconds)}" if status.retry_after_ms else ""
        paragraph(f"{counted(status.failures, 'wrong password')} since the last right one{wait}.", surface)
    if status.agents_failures:
        tried = counted(status.agents_failures, "wrong password")
        paragraph(f"Agents gave {tried}; kept vault audit has each.", surface)
    if status.rights_withheld:
        paragraph(_withheld(status.rights_withheld), surface)
    if status.state == "unlocked" and not status.has_recovery_code:
        paragraph("There is no recovery code: kept vault export-key makes one, for a forgotten password.", surface)


def _withheld(entries: int) -> str:
    lost = "1 entry is" if entries == 1 else f"{entries:,} entries are"
    return (
        f"{lost} withheld from agents since a backup came back in which they had rights; kept vault list shows which, "
        "and kept vault update NAME --agent-readable or --agent-usable gives them again."
    )


def _sentence(status: VaultStatus, surface: Surface) -> str:
    if status.state == "absent":
        return "There is no vault yet: kept vault init makes one."
    if status.state == "locked":
        return "The vault is locked: kept vault unlock opens it."
    held = f", with {status.entries:,} {'entry' if status.entries == 1 else 'entries'}"
    if status.state == "unlocked":
        return f"The vault is unlocked{held}.{_until(status, surface)}"
    if status.state == "read_only":
        damaged = f"{len(status.damaged):,} of them damaged"
        return f"The vault is open to be read, and not to be changed{held}, {damaged}.{_until(status, surface)}"
    return f"The vault is {one_line(status.state)}."


def _until(status: VaultStatus, surface: Surface) -> str:
    parts = []
    if status.locks_at is not None:
        parts.append(f"{surface.when(status.locks_at)} if nobody uses it")
    if status.locks_by is not None:
        parts.append(f"{surface.when(status.locks_by)} in any case")
    return f" It locks {', '.join(parts)}." if parts else ""


def show_entries(page: Page[Entry], surface: Surface) -> None:
    """One line for each, without values."""
    rows = [
        _EntryRow(
            name=clean(entry.name),
            category=one_line(entry.category),
            tags=one_line(", ".join(entry.tags)),
            read_by=readers(entry),
            changed=surface.when(entry.updated_at),
        )
        for entry in page.items
    ]
    show_rows(rows, surface, nothing="nothing there; kept vault store NAME keeps a secret", cursor=page.next_cursor)


def show_found(page: Page[FoundEntry], surface: Surface) -> None:
    """One line for each, the best first."""
    rows = [
        _FoundRow(
            name=clean(entry.name),
            category=one_line(entry.category),
            found=one_line(entry.snippet),
            read_by=readers(entry),
        )
        for entry in page.items
    ]
    show_rows(rows, surface, nothing="nothing fits; names, categories, tags and metadata are searched, values are not")


def readers(entry: Entry) -> str:
    """Who gets its value without being asked about."""
    if entry.rights_withheld:
        return "people (withheld)"
    if entry.agent_readable:
        return "agents too"
    return "agents unread" if entry.agent_usable else "people"


def show_secret(entry: OpenEntry, surface: Surface) -> None:
    """The value and nothing else: text as it is, other values as JSON. A terminal gets a line, without control
    characters; a program gets the text to the byte."""
    if not isinstance(entry.value, str):
        surface.line(as_json(entry.value, 2 if surface.terminal else 0))
    elif surface.terminal:
        surface.line(clean(entry.value).removesuffix("\n"))
    else:
        surface.out(entry.value)


def show_audit(page: Page[Access], surface: Surface) -> None:
    """Who did what, newest first; an entry by its name where that is told, else by its id, which the commands take as
    well."""
    rows = [
        _AccessRow(
            at=surface.when(access.at),
            action=one_line(access.action),
            outcome=one_line(access.outcome),
            by=one_line(access.client) + (f" ({one_line(access.kind)})" if access.kind else ""),
            entry=one_line(access.name or access.entry_id or ""),
            pid=access.pid,
        )
        for access in page.items
    ]
    show_rows(
        rows,
        surface,
        nothing="the audit list has nothing of that; the vault writes down each access, refusal and change",
        cursor=page.next_cursor,
    )


def show_requests(requests: Requests, surface: Surface) -> None:
    """Who waits for a person, and how to answer."""
    rows = [
        _RequestRow(
            id=clean(request.id),
            name=one_line(request.name),
            wants="to read it" if request.purpose == "read" else "to lend it",
            agent=one_line(request.client),
            asked=surface.when(request.asked_at),
            time_left=surface.how_far(request.ends_at),
            pid=request.pid,
        )
        for request in requests.items
    ]
    show_rows(
        rows,
        surface,
        nothing="no agent waits for a secret",
        below="to lend is to have a command use it, unread; to answer: kept vault confirm ID allow, or deny",
    )


def show_answered(request: Request, surface: Surface) -> None:
    """Who was answered."""
    surface.line(f"{one_line(request.client)} has your answer about {one_line(request.name)}")


def show_rotated(rotated: Rotated, surface: Surface) -> None:
    """How much is sealed anew, and what no longer opens it."""
    entries = "1 entry is" if rotated.entries == 1 else f"{rotated.entries:,} entries are"
    surface.line(f"{entries} sealed under a new key (version {rotated.key_version})")
    if rotated.recovery_code_void:
        surface.line("the recovery code opens nothing any more: kept vault export-key makes another")


def show_code(code: RecoveryCode, surface: Surface) -> None:
    """The words with their numbers, column by column."""
    words = [f"{number:>2}. {clean(word)}" for number, word in enumerate(code.code.split(), 1)]
    lines = -(-len(words) // _CODE_COLUMNS)
    width = max(map(len, words)) + 3
    for at in range(lines):
        surface.line("".join(word.ljust(width) for word in words[at::lines]).rstrip())
    surface.line("")
    paragraph(_CODE_WARNING, surface)


VAULT_VIEWS: Views = views(
    {
        AuditVault: show_audit,
        ListRequests: show_requests,
        ListSecrets: show_entries,
        OpenEntry: show_secret,
        RecoveryCode: show_code,
        Request: show_answered,
        Rotated: show_rotated,
        SearchSecrets: show_found,
        VaultStatus: show_status,
    }
)
