"""Looks through texts and calls, and masks what it finds.

Runs on every write, on the event loop: what is surely clean is told by one pass of the prefilter over the whole call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from .rules import NAMED_SECRET, Kind, candidates
from .values import SHORTEST, is_placeholder, is_secret_value, names_secret

C = TypeVar("C", bound=msgspec.Struct)

_SKIPPED = frozenset({"idempotency_key", "on_secret"})
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}\Z")

_Found = list[tuple[str, int, int]]
_Visit = Callable[[str, str, _Found], str]
"""(path, text, findings) -> the text to keep."""


class Finding(NamedTuple):
    """Where a credential is, and its kind: `start` and `end` are offsets in the string at `field`. Never the text."""

    field: str
    kind: str
    start: int
    end: int


def scan_text(text: str) -> list[tuple[str, int, int]]:
    """The credentials in a text as (kind, start, end), in order and without overlap; offsets in characters.

    Takes time linear in the text. Text that no kind's literals occur in costs a few passes of substring search.
    """
    data = text.encode("utf-8", "surrogatepass")
    folded = data.lower()
    return _scan(text, data, folded, candidates(data, folded))


def scan_call(call: msgspec.Struct) -> list[Finding]:
    """The credentials in every string of a call's fields, dictionary keys included, in the order of the fields.

    `field` is a path such as `value.db.url` or `tags[2]`. A dictionary key that is not a short plain name, or that
    holds a credential itself, shows as `{key}`. A string under a name such as `password` or `api_key` is a finding as
    a whole, unless it is a placeholder. The call must be encodable as JSON, as every decoded call is.
    """
    findings: list[Finding] = []

    def visit(path: str, text: str, found: _Found) -> str:
        findings.extend(Finding(path, *place) for place in found)
        return text

    _walk_call(call, visit)
    return findings


def mask_call(call: C) -> C:
    """The same call with `[redacted KIND]` in place of each credential that `scan_call` finds.

    The result has no findings. Keys that become equal by masking are numbered, so that no entry is lost.
    """
    return msgspec.structs.replace(call, **_walk_call(call, lambda _path, text, found: _mask(text, found)))


def _scan(text: str, data: bytes, folded: bytes, kinds: tuple[Kind, ...]) -> _Found:
    spans = [(start, end, rank) for rank, kind in enumerate(kinds) for start, end in kind.find(data, folded)]
    if not spans:
        return []
    spans.sort()
    merged: list[tuple[int, int, int]] = []
    for start, end, rank in spans:
        if merged and start < merged[-1][1]:
            last_start, last_end, last_rank = merged[-1]
            merged[-1] = (last_start, max(end, last_end), min(rank, last_rank))
        else:
            merged.append((start, end, rank))
    if len(data) == len(text):
        return [(kinds[rank].name, start, end) for start, end, rank in merged]
    return list(_in_characters(data, [(kinds[rank].name, start, end) for start, end, rank in merged]))


def _in_characters(data: bytes, found: _Found) -> Iterator[tuple[str, int, int]]:
    byte = character = 0
    for kind, start, end in found:
        first = character + _length(data[byte:start])
        byte, character = end, first + _length(data[start:end])
        yield kind, first, character


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _mask(text: str, found: _Found) -> str:
    pieces: list[str] = []
    at = 0
    for kind, start, end in found:
        pieces += (text[at:start], f"[redacted {kind}]")
        at = end
    return "".join((*pieces, text[at:])) if found else text


def _walk_call(call: msgspec.Struct, visit: _Visit) -> dict[str, Any]:
    """The fields of `call` that `visit` changed. `visit` sees only strings in which something was found."""
    given = {name: getattr(call, name) for name in call.__struct_fields__ if name not in _SKIPPED}
    fields = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    data = msgspec.json.encode(list(fields.values()))
    kinds = candidates(data, data.lower())
    if not kinds:
        return {}
    walk = _Walk(kinds, visit)
    changed = {}
    for name, value in fields.items():
        # An entry `key: "db_password", value: "..."` is an assignment, as `db_password = ...` in a text is.
        named = name == "value" and isinstance(fields.get("key"), str) and names_secret(fields["key"])
        kept = walk.text(name, value, named) if named and isinstance(value, str) else walk(name, value)
        if kept is not value:
            changed[name] = kept
    return changed


class _Walk:
    """Rebuilds a value with what `visit` makes of each string that has findings; a part without any stays the same."""

    def __init__(self, kinds: tuple[Kind, ...], visit: _Visit) -> None:
        self.kinds = kinds
        self.visit = visit
        self.names: dict[str, tuple[_Found, bool]] = {}

    def __call__(self, path: str, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(path, value)
        if isinstance(value, dict):
            return self.mapping(path, value)
        if isinstance(value, (list, tuple)):
            kept = [self(f"{path}[{index}]", item) for index, item in enumerate(value)]
            return value if all(new is old for new, old in zip(kept, value, strict=True)) else type(value)(kept)
        if isinstance(value, msgspec.Struct):
            old = {name: getattr(value, name) for name in value.__struct_fields__}
            new = {name: self(f"{path}.{name}", item) for name, item in old.items()}
            changed = {name: item for name, item in new.items() if item is not old[name]}
            return msgspec.structs.replace(value, **changed) if changed else value
        return value

    def text(self, path: str, text: str, named: bool = False) -> str:
        found = self.find(text)
        if named and not found and is_secret_value(text, quoted=True):
            found = [(NAMED_SECRET, 0, len(text))]
        return self.visit(path, text, found) if found else text

    def find(self, text: str) -> _Found:
        if len(text) < SHORTEST:
            return []
        data = text.encode("utf-8", "surrogatepass")
        return _scan(text, data, data.lower(), self.kinds)

    def mapping(self, path: str, value: dict[Any, Any]) -> dict[Any, Any]:
        kept: dict[Any, Any] = {}
        numbers: dict[str, int] = {}
        same = True
        for key, item in value.items():
            new_key, new_item = self.entry(path, key, item)
            same = same and new_key is key and new_item is item
            if new_key is not key:
                new_key = _numbered(new_key, numbers, lambda name: name in kept or name in value)
            kept[new_key] = new_item
        return value if same else kept

    def name(self, key: str) -> tuple[_Found, bool]:
        """What is in a dictionary's key, and whether it names a secret; judged once for rows that share keys."""
        judged = self.names[key] = self.find(key), names_secret(key)
        return judged

    def entry(self, path: str, key: Any, item: Any) -> tuple[Any, Any]:
        if not isinstance(key, str):
            return key, self(f"{path}{{key}}", item)
        found, named = self.names.get(key) or self.name(key)
        plain = not found and _PLAIN_KEY.match(key)
        below = f"{path}.{key}" if plain else f"{path}{{key}}"
        new_key = self.visit(f"{path}{{key}}", key, found) if found else key
        if named and isinstance(item, str) and len(item) >= SHORTEST and not is_placeholder(item):
            whole = self.find(item)
            kind = whole[0][0] if len(whole) == 1 else NAMED_SECRET
            return new_key, self.visit(below, item, [(kind, 0, len(item))])
        return new_key, self(below, item)


def _numbered(key: str, numbers: dict[str, int], taken: Callable[[str], bool]) -> str:
    """`key`, else the first of `key (2)`, `key (3)` that is not taken; `numbers` remembers how far each has come."""
    number = numbers.get(key, 0) + 1
    free = key if number == 1 else f"{key} ({number})"
    while taken(free):
        number += 1
        free = f"{key} ({number})"
    numbers[key] = number
    return free
