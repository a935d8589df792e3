"""The settings: their sections and names, defaults, limits and meaning. Where a value comes from is `config`'s."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from . import schedule

_KIB = 1024
_MIB = 1024 * 1024


def _range(low: float, high: float, description: str, *, reload: bool) -> Meta:
    """A number's limits, both taken themselves."""
    return Meta(ge=low, le=high, description=description, extra={"reload": reload})


def _choice(description: str, *, reload: bool) -> Meta:
    return Meta(description=description, extra={"reload": reload})


def _schedule(description: str) -> Meta:
    return Meta(description=description, extra={"reload": True, "check": schedule.parse, "expected": schedule.EXPECTED})


class Limits(Struct, frozen=True, kw_only=True):
    """What one caller may ask of the daemon. Past a limit the caller gets an error; the others notice nothing."""

    message_bytes: Annotated[int, _range(64 * _KIB, 256 * _MIB, "Longest message, in bytes.", reload=False)] = 16 * _MIB
    depth: Annotated[int, _range(8, 200, "Deepest nesting of a message's JSON.", reload=True)] = 64
    in_flight: Annotated[int, _range(1, 65_536, "Requests at work for one connection.", reload=True)] = 256
    batch: Annotated[int, _range(1, 65_536, "Requests in one JSON-RPC batch.", reload=True)] = 256
    queued_bytes: Annotated[
        int, _range(_MIB, 1024 * _MIB, "Bytes that wait for one connection, in and out together.", reload=True)
    ] = 64 * _MIB
    connections: Annotated[int, _range(1, 10_000, "Connections at once.", reload=True)] = 256
    subscriptions: Annotated[int, _range(1, 10_000, "Subscriptions of one connection.", reload=True)] = 32
    subscriber_lag: Annotated[
        int, _range(1, 1_000_000, "Events that a subscriber may fall behind before it is told `lost`.", reload=True)
    ] = 10_000


class Storage(Struct, frozen=True, kw_only=True):
    """The database's writer and readers."""

    batch: Annotated[int, _range(1, 65_536, "Requests in one commit.", reload=False)] = 256
    batch_bytes: Annotated[int, _range(64 * _KIB, 256 * _MIB, "Bytes of requests in one commit.", reload=False)] = (
        4 * _MIB
    )
    checkpoint_frames: Annotated[
        int,
        _range(
            100, 1_000_000, "Frames (of 4 KiB) in the write-ahead log after which it is checkpointed.", reload=False
        ),
    ] = 1000
    checkpoint_seconds: Annotated[
        float, _range(0.01, 3600, "Seconds between looks at the write-ahead log's size.", reload=False)
    ] = 5
    ballast_bytes: Annotated[
        int,
        _range(
            0,
            1024 * _MIB,
            "Size of the file that is given up on a full disk, so that deletions work. A small one makes the "
            "write-ahead log and the commits small; 0 means that a full disk can only be helped from outside.",
            reload=False,
        ),
    ] = 32 * _MIB
    readers: Annotated[int, _range(1, 64, "Threads for heavy reads.", reload=False)] = 2
    read_seconds: Annotated[float, _range(0.01, 3600, "Deadline of a heavy read, in seconds.", reload=True)] = 10
    write_seconds: Annotated[
        float, _range(0.01, 3600, "Seconds that a write may wait for its commit to begin.", reload=True)
    ] = 30
    receipt_hours: Annotated[
        int, _range(1, 8760, "Hours for which a repeated idempotency_key gives the first result.", reload=True)
    ] = 24


class Secrets(Struct, frozen=True, kw_only=True):
    """What looks like a credential in ordinary text."""

    on_secret: Annotated[
        Literal["refuse", "redact", "allow"], _choice("What happens to it where a call does not say.", reload=True)
    ] = "refuse"  # noqa: S105 - no password


class Log(Struct, frozen=True, kw_only=True):
    """The daemon's log. It never holds a value from a request."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _choice("The least important lines that are written.", reload=True),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], _choice("auto: console on a terminal, JSON lines elsewhere.", reload=True)
    ] = "auto"
    file: Annotated[
        Literal["auto", "always", "never"],
        _choice(
            "Whether keptd.log in the state folder takes the lines instead of standard error. "
            "auto: where that is neither a terminal nor the journal.",
            reload=True,
        ),
    ] = "auto"


class Mirror(Struct, frozen=True, kw_only=True):
    """The files current/state.json and history/actions.jsonl, for tools that only read files."""

    enabled: Annotated[bool, _choice("Whether they are written.", reload=True)] = True
    interval_seconds: Annotated[
        float, _range(0.01, 3600, "Seconds between two writes of a changed state.", reload=True)
    ] = 1
    budget_tokens: Annotated[
        int, _range(100, 1_000_000, "Size of the bundle in state.json, in tokens.", reload=True)
    ] = 8000


class Jobs(Struct, frozen=True, kw_only=True):
    """When the daemon works by itself: so long after the last run (30s, 5m, 24h, 7d), by a cron expression in local
    time (`0 3 * * *`), or off, which leaves it to `kept job run`."""

    memory_expire: Annotated[
        str, _schedule("Move expired memories into the history. An expired entry is never returned, moved or not.")
    ] = "1m"
    receipt_expire: Annotated[str, _schedule("Forget the idempotency keys of storage.receipt_hours ago.")] = "10m"
    backup_create: Annotated[str, _schedule("Make a backup, and thin out old ones.")] = "24h"
    maintenance_optimize: Annotated[str, _schedule("Give free pages back, and merge the full-text indexes.")] = "24h"
    maintenance_check: Annotated[str, _schedule("Check the whole database.")] = "7d"
    journal_archive: Annotated[str, _schedule("Move old actions into monthly archives.")] = "7d"
    trash_empty: Annotated[str, _schedule("Delete what has been in the trash for its time.")] = "24h"
    session_remove: Annotated[
        str, _schedule("Remove the messages of sessions that have left the trash for good, a few at a time.")
    ] = "1m"
    session_archive: Annotated[
        str, _schedule("Put sessions away that nobody used for sessions.archive_after_days.")
    ] = "24h"
    data_tidy: Annotated[str, _schedule("Remove exports that nobody fetched within a day.")] = "1h"
    vault_auto_lock: Annotated[
        str, _schedule("See that the vault is locked where its time is over. It locks itself in time, job or not.")
    ] = "15s"
    vault_tidy: Annotated[str, _schedule("Forget old entries of the vault's audit list.")] = "24h"


class Journal(Struct, frozen=True, kw_only=True):
    """What happened: how long it stays in the database."""

    archive_after_days: Annotated[
        int, _range(1, 36_500, "Days after which actions move to archives, which are read as well.", reload=True)
    ] = 90


class Sessions(Struct, frozen=True, kw_only=True):
    """Conversations: how large they may get, and when they are put away."""

    recommended_messages: Annotated[
        int, _range(1, 1_000_000_000, "Messages of one session after which its size is warned of.", reload=True)
    ] = 10_000
    recommended_bytes: Annotated[
        int, _range(1, 1 << 40, "Bytes of one session's messages after which its size is warned of.", reload=True)
    ] = 10 * _MIB
    max_messages: Annotated[
        int, _range(1, 1_000_000_000, "Messages that one session may have; more are refused.", reload=True)
    ] = 1_000_000
    max_bytes: Annotated[
        int, _range(1, 1 << 40, "Bytes that one session's messages may take; more are refused.", reload=True)
    ] = 1024 * _MIB
    max_sessions: Annotated[
        int, _range(1, 1_000_000_000, "Sessions that there may be, those in the trash included.", reload=True)
    ] = 1_000_000
    archive_after_days: Annotated[
        int,
        _range(
            0, 36_500, "Days without use after which a session is archived: its status only. 0: never.", reload=True
        ),
    ] = 0


class Trash(Struct, frozen=True, kw_only=True):
    """What was deleted and can come back."""

    keep_days: Annotated[
        int,
        _range(
            1,
            36_500,
            "Days for which something deleted can be restored; a time off or asleep counts as one day at most.",
            reload=True,
        ),
    ] = 30


class Vault(Struct, frozen=True, kw_only=True):
    """Secrets: when they are locked away, and how hard a password is to guess."""

    idle_seconds: Annotated[
        int, _range(1, 604_800, "Seconds without use after which the vault is locked.", reload=True)
    ] = 600
    hard_seconds: Annotated[
        int, _range(1, 604_800, "Seconds after which it is locked whether it is used or not.", reload=True)
    ] = 7200
    memory_kib: Annotated[
        int,
        _range(
            19 * _KIB,
            1024 * _KIB,
            "KiB of memory that one guess of a password takes (Argon2id). A vault that has less gets more with the "
            "next unlock.",
            reload=True,
        ),
    ] = 64 * _KIB
    passes: Annotated[int, _range(2, 16, "Passes over that memory.", reload=True)] = 3
    lanes: Annotated[int, _range(1, 16, "Lanes that are worked on at once.", reload=True)] = 4
    max_entries: Annotated[int, _range(1, 100_000, "Entries that there may be.", reload=True)] = 10_000
    max_bytes: Annotated[int, _range(_MIB, 1024 * _MIB, "Bytes that all of them may take, sealed.", reload=True)] = (
        64 * _MIB
    )
    audit_days: Annotated[int, _range(1, 36_500, "Days for which the audit list tells of an access.", reload=True)] = (
        365
    )
    audit_rows: Annotated[
        int,
        _range(
            100,
            10_000_000,
            "Accesses of each kind (retrieve, list, unlock, ...) that it tells of; older ones are forgotten.",
            reload=True,
        ),
    ] = 100_000


class Config(Struct, frozen=True, kw_only=True):
    """All settings; `Config()` is the defaults."""

    limits: Limits = Limits()
    storage: Storage = Storage()
    secrets: Secrets = Secrets()
    log: Log = Log()
    mirror: Mirror = Mirror()
    jobs: Jobs = Jobs()
    journal: Journal = Journal()
    sessions: Sessions = Sessions()
    trash: Trash = Trash()
    vault: Vault = Vault()
