"""Where the value of each setting comes from, and what it may be; which settings there are is said in `settings`.

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
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from .settings import Config, Jobs, Journal, Limits, Log, Mirror, Secrets, Sessions, Storage, Trash, Vault

__all__ = [
    "Config",
    "ConfigError",
    "Jobs",
    "Journal",
    "Limits",
    "Log",
    "Mirror",
    "Secrets",
    "Sessions",
    "Setting",
    "Storage",
    "Trash",
    "Vault",
]

FILE_BYTES = 1024 * 1024
"""The largest configuration file that is read."""

RESERVED = frozenset({"KEPT_HOME", "KEPT_SOCKET", "KEPT_STATE_FILE"})
"""Variables of kept that are no settings."""


class ConfigError(Exception):
    """A setting can't be used: `source` (file, variable or option), `key`, and what was expected."""

    def __init__(self, source: str, key: str, expected: str) -> None:
        super().__init__(f"{source}: {key}: {expected}" if key else f"{source}: {expected}")
        self.source = source
        self.key = key
        self.expected = expected


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
