"""The settings: their names, defaults, limits and meaning, and where each value comes from.

Owns the order of precedence: defaults < configuration file < `KEPT_<SECTION>_<KEY>` variables < `--set
section.key=value`. Refuses, with the place, the key and what was expected: an unknown section or key, a bad type, a
value out of its range. Settings are never applied in part.

`python -m keptd.config` prints `config.example.toml`.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from . import schedule

FILE_BYTES = 1024 * 1024
"""The largest configuration file that is read."""

RESERVED = frozenset({"KEPT_HOME", "KEPT_SOCKET", "KEPT_STATE_FILE"})
"""Variables of kept that are no settings."""

_KIB = 1024
_MIB = 1024 * 1024


class ConfigError(Exception):
    """A setting can't be used: `source` (file, variable or option), `key`, and what was expected."""

    def __init__(self, source: str, key: str, expected: str) -> None:
        super().__init__(f"{source}: {key}: {expected}" if key else f"{source}: {expected}")
        self.source = source
        self.key = key
        self.expected = expected


def _whole(low: int, high: int, description: str, *, reload: bool) -> Meta:
    return Meta(ge=low, le=high, description=description, extra={"reload": reload})


def _seconds(low: float, high: float, description: str, *, reload: bool) -> Meta:
    return Meta(ge=low, le=high, description=description, extra={"reload": reload})


def _choice(description: str, *, reload: bool) -> Meta:
    return Meta(description=description, extra={"reload": reload})


def _schedule(description: str) -> Meta:
    return Meta(description=description, extra={"reload": True, "check": schedule.parse, "expected": schedule.EXPECTED})


class Limits(Struct, frozen=True, kw_only=True):
    """What one caller may ask of the daemon. Past a limit the caller gets an error; the others notice nothing."""

    message_bytes: Annotated[int, _whole(64 * _KIB, 256 * _MIB, "Longest message, in bytes.", reload=False)] = 16 * _MIB
    depth: Annotated[int, _whole(8, 200, "Deepest nesting of a message's JSON.", reload=True)] = 64
    in_flight: Annotated[int, _whole(1, 65_536, "Requests at work for one connection.", reload=True)] = 256
    batch: Annotated[int, _whole(1, 65_536, "Requests in one JSON-RPC batch.", reload=True)] = 256
    queued_bytes: Annotated[
        int, _whole(_MIB, 1024 * _MIB, "Bytes that wait for one connection, in and out together.", reload=True)
    ] = 64 * _MIB
    connections: Annotated[int, _whole(1, 10_000, "Connections at once.", reload=True)] = 256
    subscriptions: Annotated[int, _whole(1, 10_000, "Subscriptions of one connection.", reload=True)] = 32
    subscriber_lag: Annotated[
        int, _whole(1, 1_000_000, "Events that a subscriber may fall behind before it is told `lost`.", reload=True)
    ] = 10_000


class Storage(Struct, frozen=True, kw_only=True):
    """The database's writer and readers."""

    batch: Annotated[int, _whole(1, 65_536, "Requests in one commit.", reload=False)] = 256
    batch_bytes: Annotated[int, _whole(64 * _KIB, 256 * _MIB, "Bytes of requests in one commit.", reload=False)] = (
        4 * _MIB
    )
    checkpoint_frames: Annotated[
        int,
        _whole(
            100, 1_000_000, "Frames (of 4 KiB) in the write-ahead log after which it is checkpointed.", reload=False
        ),
    ] = 1000
    checkpoint_seconds: Annotated[
        float, _seconds(0.01, 3600, "Seconds between looks at the write-ahead log's size.", reload=False)
    ] = 5
    ballast_bytes: Annotated[
        int,
        _whole(
            0,
            1024 * _MIB,
            "Size of the file that is given up on a full disk, so that deletions work. A small one makes the "
            "write-ahead log and the commits small; 0 means that a full disk can only be helped from outside.",
            reload=False,
        ),
    ] = 32 * _MIB
    readers: Annotated[int, _whole(1, 64, "Threads for heavy reads.", reload=False)] = 2
    read_seconds: Annotated[float, _seconds(0.01, 3600, "Deadline of a heavy read, in seconds.", reload=True)] = 10
    write_seconds: Annotated[
        float, _seconds(0.01, 3600, "Seconds that a write may wait for its commit to begin.", reload=True)
    ] = 30
    receipt_hours: Annotated[
        int, _whole(1, 8760, "Hours for which a repeated idempotency_key gives the first result.", reload=True)
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
        float, _seconds(0.01, 3600, "Seconds between two writes of a changed state.", reload=True)
    ] = 1
    budget_tokens: Annotated[
        int, _whole(100, 1_000_000, "Size of the bundle in state.json, in tokens.", reload=True)
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
        str, _schedule("Lock the vault where its time is over. A call finds it locked in time, job or not.")
    ] = "15s"
    vault_tidy: Annotated[str, _schedule("Forget old entries of the vault's audit list.")] = "24h"


class Journal(Struct, frozen=True, kw_only=True):
    """What happened: how long it stays in the database."""

    archive_after_days: Annotated[
        int, _whole(1, 36_500, "Days after which actions move to archives, which are read as well.", reload=True)
    ] = 90


class Sessions(Struct, frozen=True, kw_only=True):
    """Conversations: how large they may get, and when they are put away."""

    recommended_messages: Annotated[
        int, _whole(1, 1_000_000_000, "Messages of one session after which its size is warned of.", reload=True)
    ] = 10_000
    recommended_bytes: Annotated[
        int, _whole(1, 1 << 40, "Bytes of one session's messages after which its size is warned of.", reload=True)
    ] = 10 * _MIB
    max_messages: Annotated[
        int, _whole(1, 1_000_000_000, "Messages that one session may have; more are refused.", reload=True)
    ] = 1_000_000
    max_bytes: Annotated[
        int, _whole(1, 1 << 40, "Bytes that one session's messages may take; more are refused.", reload=True)
    ] = 1024 * _MIB
    max_sessions: Annotated[
        int, _whole(1, 1_000_000_000, "Sessions that there may be, those in the trash included.", reload=True)
    ] = 1_000_000
    archive_after_days: Annotated[
        int,
        _whole(
            0, 36_500, "Days without use after which a session is archived: its status only. 0: never.", reload=True
        ),
    ] = 0


class Trash(Struct, frozen=True, kw_only=True):
    """What was deleted and can come back."""

    keep_days: Annotated[
        int,
        _whole(
            1,
            36_500,
            "Days for which something deleted can be restored; a time off or asleep counts as one day at most.",
            reload=True,
        ),
    ] = 30


class Vault(Struct, frozen=True, kw_only=True):
    """Secrets: when they are locked away, and how hard a password is to guess."""

    idle_seconds: Annotated[
        int, _whole(1, 604_800, "Seconds without use after which the vault is locked.", reload=True)
    ] = 600
    hard_seconds: Annotated[
        int, _whole(1, 604_800, "Seconds after which it is locked whether it is used or not.", reload=True)
    ] = 7200
    memory_kib: Annotated[
        int,
        _whole(
            19 * _KIB,
            1024 * _KIB,
            "KiB of memory that one guess of a password takes (Argon2id). A vault that has less gets more with the "
            "next unlock.",
            reload=True,
        ),
    ] = 64 * _KIB
    passes: Annotated[int, _whole(2, 16, "Passes over that memory.", reload=True)] = 3
    lanes: Annotated[int, _whole(1, 16, "Lanes that are worked on at once.", reload=True)] = 4
    max_entries: Annotated[int, _whole(1, 100_000, "Entries that there may be.", reload=True)] = 10_000
    max_bytes: Annotated[int, _whole(_MIB, 1024 * _MIB, "Bytes that all of them may take, sealed.", reload=True)] = (
        64 * _MIB
    )
    audit_days: Annotated[int, _whole(1, 36_500, "Days for which the audit list tells of an access.", reload=True)] = (
        365
    )
    audit_rows: Annotated[
        int, _whole(100, 10_000_000, "Accesses that it tells of; older ones are forgotten.", reload=True)
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


class Setting(Struct, frozen=True):
    """One key of one section. `kind` is its type with the limits, `check` raises `ValueError` for what the type does
    not rule out, and `expected` says the same to people."""

    section: str
    key: str
    kind: Any
    default: Any
    description: str
    reload: bool
    expected: str
    check: Callable[[Any], object] | None

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return f"KEPT_{self.section}_{self.key}".upper()


@cache
def settings() -> Mapping[str, Setting]:
    """Every setting by its name, in the order of the file."""
    found = (_setting(section.name, field) for section in _sections() for field in msgspec.structs.fields(section.type))
    return {setting.name: setting for setting in found}


def _sections() -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(Config)


def _setting(section: str, field: msgspec.structs.FieldInfo) -> Setting:
    kind, meta = get_args(field.type)
    assert meta.extra is not None
    return Setting(
        section,
        field.name,
        field.type,
        field.default,
        meta.description,
        meta.extra["reload"],
        meta.extra.get("expected") or _expected(kind, meta),
        meta.extra.get("check"),
    )


def _expected(kind: Any, meta: Meta) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    noun = "a whole number" if kind is int else "a number"
    return f"{noun} from {_toml(meta.ge)} to {_toml(meta.le)}"


def load(file: Path | None, environ: Mapping[str, str], overrides: Iterable[str] = ()) -> Config:
    """The settings in force. `file` may be missing; `overrides` are `section.key=value`. Raises `ConfigError`."""
    values: dict[str, Any] = {}
    if file is not None:
        values.update(_from_file(file))
    values.update(_from_environ(environ))
    values.update(_from_overrides(overrides))
    sections: dict[str, dict[str, Any]] = {section.name: {} for section in _sections()}
    for name, value in values.items():
        section, key = name.split(".")
        sections[section][key] = value
    return Config(**{section.name: section.type(**sections[section.name]) for section in _sections()})


def changes(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the settings that differ: those that take effect at run time, and those that wait for a restart."""
    differing = [
        setting
        for setting in settings().values()
        if getattr(getattr(old, setting.section), setting.key) != getattr(getattr(new, setting.section), setting.key)
    ]
    return (
        tuple(setting.name for setting in differing if setting.reload),
        tuple(setting.name for setting in differing if not setting.reload),
    )


def apply(old: Config, new: Config) -> Config:
    """The settings in force after a reload: what can change at run time from `new`, the rest from `old`."""
    sections: dict[str, dict[str, Any]] = {section.name: {} for section in _sections()}
    for setting in settings().values():
        source = new if setting.reload else old
        sections[setting.section][setting.key] = getattr(getattr(source, setting.section), setting.key)
    return Config(**{section.name: section.type(**sections[section.name]) for section in _sections()})


def _read(file: Path) -> bytes:
    # Without O_NONBLOCK, a pipe in its place would be waited for.
    with open(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
        if not S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return stream.read(FILE_BYTES + 1)


def _from_file(file: Path) -> Iterator[tuple[str, Any]]:
    source = str(file)
    try:
        content = _read(file)
    except FileNotFoundError:
        return
    except OSError as fault:
        raise ConfigError(source, "", f"can't be read: {fault.strerror}") from None
    if len(content) > FILE_BYTES:
        raise ConfigError(source, "", f"expected at most {FILE_BYTES} bytes")
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as fault:
        raise ConfigError(source, "", f"expected UTF-8, but byte {fault.start} is not") from None
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise ConfigError(source, "", f"expected TOML: {fault}") from None
    names = {section.name: section.name for section in _sections()}
    for section, keys in document.items():
        if section not in names:
            raise ConfigError(source, section, "no such section" + _meant(section, names))
        if not isinstance(keys, dict):
            raise ConfigError(source, section, f"expected a section, [{section}]")
        for key, value in keys.items():
            setting = _find(source, f"{section}.{key}")
            yield setting.name, _convert(source, setting.name, setting, value, strict=True)


def _from_environ(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    known = {setting.variable: setting for setting in settings().values()}
    prefixes = tuple(f"KEPT_{section.name}_".upper() for section in _sections())
    for variable in sorted(environ):
        if not variable.startswith("KEPT_") or variable in RESERVED:
            continue
        if variable in known:
            yield (
                known[variable].name,
                _convert("environment", variable, known[variable], environ[variable], strict=False),
            )
        elif variable.startswith(prefixes):
            raise ConfigError(
                "environment", variable, "no such setting" + _meant(variable, {name: name for name in known})
            )
        elif close := difflib.get_close_matches(variable, known, 1, 0.9):
            # Other variables of this prefix are somebody else's; one that differs by a letter is a slip.
            raise ConfigError("environment", variable, f"no such setting; did you mean {close[0]}?")


def _from_overrides(overrides: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError("--set", name, "expected section.key=value")
        setting = _find("--set", name.strip())
        yield setting.name, _convert("--set", setting.name, setting, text.strip(), strict=False)


def _find(source: str, name: str) -> Setting:
    setting = settings().get(name)
    if setting is None:
        # By key alone: the section may be the slip, and a right one must not make every key in it look close.
        keys = {found.key: found.name for found in reversed(list(settings().values()))}
        raise ConfigError(source, name, "no such setting" + _meant(name.rpartition(".")[2], keys))
    return setting


def _convert(source: str, key: str, setting: Setting, value: Any, *, strict: bool) -> Any:
    try:
        converted = msgspec.convert(value, setting.kind, strict=strict)
        if setting.check is not None:
            setting.check(converted)
    except ValueError:
        raise ConfigError(source, key, f"expected {setting.expected}") from None
    return converted


def _meant(slip: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(slip, known, 1)
    return f"; did you mean {known[close[0]]}?" if close else "; config.example.toml lists all"


def example() -> str:
    """The text of `config.example.toml`: every setting with its default and its meaning."""
    lines = [
        "# The settings of keptd and their defaults. Copy what you change to $XDG_CONFIG_HOME/kept/config.toml.",
        "# The environment (KEPT_LIMITS_IN_FLIGHT=64) and the command line (keptd --set limits.in_flight=64)",
        "# override it.",
        "# `kept daemon reload` applies what can change at run time; the others are marked [restart].",
    ]
    for section in _sections():
        lines += ["", *_comment(section.type.__doc__ or ""), f"[{section.name}]"]
        for setting in settings().values():
            if setting.section == section.name:
                lines += _entry(setting)
    return "\n".join(lines) + "\n"


def _entry(setting: Setting) -> list[str]:
    restart = "" if setting.reload else " [restart]"
    # A schedule's form stands at the head of its section.
    form = "" if setting.check else f" {setting.expected.capitalize()}."
    return [*_comment(f"{setting.description}{form}{restart}"), f"{setting.key} = {_toml(setting.default)}"]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return f"{int(value):_}" if value == int(value) else f"{value:g}"


if __name__ == "__main__":
    sys.stdout.write(example())
