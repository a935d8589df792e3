"""vault.*: secrets, sealed under a password. Values, names, categories, tags and metadata are all encrypted.

A parameter whose `Meta` says `secret` never stands in a command line, a log, a receipt or an error: clients read it
from a terminal without echo, from a descriptor or from an askpass program.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NewType

from msgspec import UNSET, Meta, Struct, UnsetType

from . import Control, Cursor, Done, IdempotencyKey, Limit, Name, Page, Passed, Query, Tag, Tags, Time, Version
from .errors import (
    Busy,
    Conflict,
    Denied,
    InvalidParams,
    KeptError,
    Locked,
    NotFound,
    QuotaExceeded,
    StorageFailed,
    StorageFull,
    TooLarge,
)

EntryId = NewType("EntryId", str)
RequestId = NewType("RequestId", str)

PASSWORD_LENGTH = 8
"""The fewest characters of a new password (NIST SP 800-63B's least for one that a person chooses)."""

Password = Annotated[
    str, Meta(min_length=1, max_length=1024, description="The vault's password.", extra={"secret": True})
]
NewPassword = Annotated[
    str,
    Meta(
        min_length=PASSWORD_LENGTH,
        max_length=1024,
        description="The new password, 8 to 1,024 characters. Nobody can reset it but with a recovery code.",
        extra={"secret": True, "new": True},
    ),
]
Code = Annotated[
    str,
    Meta(min_length=1, max_length=1024, description="The 24 words that vault.export_key gave.", extra={"secret": True}),
]
Secret = Annotated[Any, Meta(description="The secret. Any JSON value, up to 1 MiB.", extra={"secret": True})]
EntryRef = Annotated[Name, Meta(description="The entry's name, or its id.")]
NewName = Annotated[
    Name,
    Meta(
        description="Its name: 1 to 200 characters that show, without white space around them. Characters that nobody "
        "sees are refused, but where a script or an emoji is written with them."
    ),
]
Category = Annotated[
    Name,
    Meta(
        description="What kind of secret it is: private, knowledge, credential, health, finance, general, or your own."
    ),
]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description="What belongs to it, such as a user name; found by search. An agent is told it only where it may "
        "read or lend the entry."
    ),
]
AgentReadable = Annotated[bool, Meta(description="Whether a client that said it is an agent may read the value.")]
AgentUsable = Annotated[
    bool, Meta(description="Whether such a client may lend it to a command, unread: kept vault run.")
]

Purpose = Literal["read", "lend"]
"""What an agent wants a secret for: to see it, or to lend it to a command whose output is kept free of it."""

CHANGES: tuple[type[KeptError], ...] = (Locked, NotFound, Conflict, StorageFull)
"""What can refuse whatever changes the vault."""


class Kdf(Struct, frozen=True, kw_only=True):
    """How the password becomes a key: Argon2id with so much memory, so many passes and lanes (RFC 9106)."""

    memory_kib: int
    passes: int
    lanes: int


class VaultStatus(Struct, frozen=True, kw_only=True):
    """How the vault is. What only an unlocked vault knows is None while it is locked."""

    state: Annotated[str, Meta(description="`absent`, `locked`, `unlocked` or `read_only` (some entries are damaged).")]
    created_at: Time | None = None
    kdf: Kdf | None = None
    key_version: int = 0
    """Grows with each rotation."""
    counter: int = 0
    """Grows with each change. One that is smaller than you remember says that an older file was put back."""
    entries: int = 0
    has_recovery_code: bool = False
    failures: int = 0
    """Wrong passwords since the last right one; an agent is told those of agents, which slow down agents alone."""
    agents_failures: int = 0
    """Those of agents, whoever asks."""
    retry_after_ms: int = 0
    """How long the next password has to wait."""
    unlocked_at: Time | None = None
    locks_at: Time | None = None
    """When it locks by itself, if nothing of it is shown or changed until then. A request that is refused is no use."""
    locks_by: Time | None = None
    """When it locks whatever happens."""
    rights_withheld: int = 0
    """Entries that lost what agents may do with them when a backup came back; `vault.list` marks them."""
    damaged: tuple[str, ...] = ()
    """The ids of entries that don't open or don't fit together. An unlock reads no values: one that doesn't open is
    among them when it was needed."""
    problem: str | None = None
    """What is wrong, and what to do."""


class Entry(Struct, frozen=True, kw_only=True):
    """A secret without its value."""

    id: EntryId
    name: str
    category: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    """Empty for an agent where it is neither `agent_readable` nor `agent_usable`, unless a person confirmed that it
    gets the secret."""
    agent_readable: bool
    agent_usable: bool
    rights_withheld: bool = False
    """It had such rights in a backup that came back; they count as not given until `vault.update` gives them again."""
    created_at: Time
    updated_at: Time
    version: int


class OpenEntry(Entry, frozen=True, kw_only=True):
    """A secret with its value."""

    value: Any


class FoundEntry(Entry, frozen=True, kw_only=True):
    """A search result: the entry without its value, how well it fits (higher is better), and what fits."""

    score: float
    snippet: str


class RecoveryCode(Struct, frozen=True, kw_only=True):
    """The way back when the password is forgotten. It is told once and not kept."""

    code: str
    """24 words of BIP39's English list."""
    key_version: int
    """It opens the vault until the next rotation or the next code."""


class Rotated(Struct, frozen=True, kw_only=True):
    """All entries are sealed under a new data key."""

    entries: int
    key_version: int
    recovery_code_void: bool
    """Whether there was a recovery code, which opens nothing any more: vault.export_key makes another."""
    dropped: tuple[str, ...] = ()
    """The ids of what was removed because it didn't open."""


class Access(Struct, frozen=True, kw_only=True):
    """One line of the audit list: who did what to which entry, and how it went. Never a value."""

    seq: int
    at: Time
    action: str
    entry_id: str | None
    outcome: Annotated[
        str,
        Meta(
            description="`ok`, `denied`, `wrong_password`, `not_found`, `damaged` or `locked` (an unlock that a lock "
            "overtook), so far."
        ),
    ]
    client: str
    kind: str | None
    uid: int
    pid: int
    name: str | None = None
    """What the entry is called now. It isn't in the list, but told while the vault is unlocked."""


class Request(Struct, frozen=True, kw_only=True):
    """An agent that waits for a person to say yes."""

    id: RequestId
    entry_id: EntryId
    name: str
    purpose: str
    """`read`: it will see the value. `lend`: it says that it lends it to a command whose output is kept free of it."""
    client: str
    pid: int
    asked_at: Time
    ends_at: Time
    """When it is refused if nobody says anything."""


class InitVault(Control[VaultStatus], frozen=True, kw_only=True):
    """Make the vault and unlock it. There is one for each home."""

    method = "vault.init"
    event = "vault.made"
    errors = (Conflict, StorageFull, Denied)

    password: NewPassword


class UnlockVault(Control[VaultStatus], frozen=True, kw_only=True):
    """Unlock the vault, until it is locked, nobody has used it for a while, or the longest time is over.

    Wrong passwords are counted, also across restarts: after three of them each next one has to wait longer
    (`busy`, with `retry_after_ms`).
    """

    method = "vault.unlock"
    event = "vault.unlocked"
    notices = ("vault.refused", "vault.damaged", "vault.locked")
    errors = (NotFound, Denied, Busy, Conflict)

    password: Password
    despite_damage: Annotated[
        bool, Meta(description="Open what opens of a vault that doesn't fit together; nothing can be changed then.")
    ] = False


class LockVault(Control[VaultStatus], frozen=True, kw_only=True):
    """Lock the vault: its keys are wiped, and what was read of it is dropped."""

    method = "vault.lock"
    event = "vault.locked"
    is_repeatable = True
    errors = (NotFound,)


class StatusOfVault(Control[VaultStatus], frozen=True, kw_only=True):
    """Whether there is a vault, whether it is locked, and how it does."""

    method = "vault.status"
    is_repeatable = True


class StoreSecret(Control[Entry], frozen=True, kw_only=True):
    """Keep a secret under a name that is free.

    It is neither looked through for credentials, which belong here, nor kept in a receipt. `idempotency_key` works as
    for a write, but that a repeated one answers with the entry as it is by then, and is refused where the keys were
    changed since.
    """

    method = "vault.store"
    event = "vault.stored"
    is_repeatable = True
    errors = (*CHANGES, TooLarge, QuotaExceeded, InvalidParams)

    name: NewName
    value: Secret
    category: Category = "general"
    tags: Tags = ()
    metadata: Metadata | None = None
    agent_readable: AgentReadable = False
    agent_usable: AgentUsable = False
    idempotency_key: IdempotencyKey | None = None


class RetrieveSecret(Control[OpenEntry], frozen=True, kw_only=True):
    """The secret itself.

    A client that said it is an agent (`daemon.hello {kind: "agent"}`) gets only what is `agent_readable`, or what is
    `agent_usable` where it lends it to a command, unless a person confirms it within `wait_seconds`: `vault.requests`
    shows who asks, `vault.confirm` answers, and `$/progress` tells the agent what the person has to type.
    """

    method = "vault.retrieve"
    notices = ("vault.asked",)
    is_repeatable = True
    errors = (Locked, NotFound, Denied, StorageFailed, StorageFull)

    id: EntryRef
    purpose: Annotated[
        Purpose,
        Meta(description="`lend`: for a command whose output is kept free of it; the audit list says so."),
    ] = "read"
    wait_seconds: Annotated[
        int, Meta(ge=0, le=600, description="How long an agent waits for a person's confirmation; 0: not at all.")
    ] = 0


class ListSecrets(Control[Page[Entry]], frozen=True, kw_only=True):
    """The entries by name, without their values."""

    method = "vault.list"
    is_repeatable = True
    errors = (Locked, NotFound, InvalidParams)

    category: Category | None = None
    tag: Annotated[Tag, Meta(description="Only entries with this tag.")] | None = None
    prefix: Annotated[Name, Meta(description="Only names that start with this.")] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class SearchSecrets(Control[Page[FoundEntry]], frozen=True, kw_only=True):
    """Entries whose name, category, tags or metadata fit all of the words, best first. Values are not searched, nor,
    for an agent, metadata that it isn't told.

    Up to 32 different words; more are refused.
    """

    method = "vault.search"
    is_repeatable = True
    errors = (Locked, NotFound)

    query: Query
    category: Category | None = None
    limit: Limit = 20
    offset: Passed = 0


class UpdateSecret(Control[Entry], frozen=True, kw_only=True):
    """Change an entry; what is left out stays. `idempotency_key` works as for vault.store."""

    method = "vault.update"
    event = "vault.updated"
    is_repeatable = True
    errors = (*CHANGES, Denied, TooLarge, QuotaExceeded, InvalidParams)

    id: EntryRef
    name: NewName | None = None
    value: Secret | UnsetType = UNSET
    category: Category | None = None
    tags: Tags | None = None
    metadata: Metadata | None = None
    agent_readable: AgentReadable | None = None
    agent_usable: AgentUsable | None = None
    if_version: Version | None = None
    idempotency_key: IdempotencyKey | None = None


class DeleteSecret(Control[Done], frozen=True, kw_only=True):
    """Delete an entry for good: there is no trash for secrets, though backups that were made before still have it,
    sealed."""

    method = "vault.delete"
    event = "vault.deleted"
    is_repeatable = True
    errors = (Locked, NotFound, Conflict, Denied)

    id: EntryRef
    if_version: Version | None = None
    idempotency_key: IdempotencyKey | None = None


class ChangePassword(Control[VaultStatus], frozen=True, kw_only=True):
    """Give the vault another password. The data key stays, and so does the recovery code: `vault.rotate` changes
    them."""

    method = "vault.change_password"
    event = "vault.password_changed"
    notices = ("vault.refused",)
    errors = (*CHANGES, Denied, Busy)

    password: Password
    new_password: NewPassword


class RotateKey(Control[Rotated], frozen=True, kw_only=True):
    """Seal everything under a new data key, in one step; reading goes on meanwhile. The recovery code is void then.
    `$/progress` tells how far it is.

    It also ends the state of a vault that was unlocked despite damage: with `drop_damaged`, what opens is sealed anew,
    and what doesn't is removed for good.
    """

    method = "vault.rotate"
    event = "vault.rotated"
    notices = ("vault.refused", "vault.deleted")
    errors = (*CHANGES, Denied, Busy)

    password: Password
    drop_damaged: Annotated[
        bool, Meta(description="Remove what doesn't open. Restore a backup instead, where one has it.")
    ] = False


class ExportKey(Control[RecoveryCode], frozen=True, kw_only=True):
    """Make a recovery code and tell it this once; a former one is void. Who has it can open the vault."""

    method = "vault.export_key"
    event = "vault.recovery_code_made"
    notices = ("vault.refused",)
    errors = (*CHANGES, Denied, Busy)

    password: Password


class RecoverVault(Control[VaultStatus], frozen=True, kw_only=True):
    """Give the vault a new password by its recovery code, and unlock it. The code stays good."""

    method = "vault.recover"
    event = "vault.recovered"
    notices = ("vault.refused", "vault.damaged", "vault.locked")
    errors = (NotFound, Denied, Busy, Conflict, InvalidParams, StorageFull)

    code: Code
    new_password: NewPassword


class AuditVault(Control[Page[Access]], frozen=True, kw_only=True):
    """Who used the vault, newest first: each change, refusal and unlock, and looks, but for those of the last moment
    before a daemon was killed, or on a full disk. It can be read while locked."""

    method = "vault.audit"
    is_repeatable = True
    errors = (InvalidParams, Locked, NotFound)

    id: Annotated[EntryRef, Meta(description="Only this entry; by its id while the vault is locked.")] | None = None
    action: Annotated[Name, Meta(description="Only this action, such as retrieve or unlock.")] | None = None
    limit: Limit = 50
    cursor: Cursor | None = None


class Requests(Struct, frozen=True, kw_only=True):
    """The agents that wait for a confirmation."""

    items: tuple[Request, ...]


class ListRequests(Control[Requests], frozen=True, kw_only=True):
    """The agents that wait for a person's confirmation."""

    method = "vault.requests"
    is_repeatable = True
    errors = (Locked, NotFound)


class Confirm(Control[Request], frozen=True, kw_only=True):
    """Say whether an agent may have the secret that it waits for, this once. Not for agents. Of two answers the first
    counts, and the other is refused."""

    method = "vault.confirm"
    errors = (Locked, NotFound, Denied, Conflict, StorageFull)

    id: Annotated[RequestId, Meta(description="The request, as vault.requests shows it.")]
    answer: Annotated[Literal["allow", "deny"], Meta(description="Whether it may.")]
