"""Where among a program's words the values of its options are, and its other words."""

from __future__ import annotations

from collections.abc import Iterator

from .programs import Use
from .words import Word

_LONG = frozenset(
    [
        "password",
        "pass",
        "passwd",
        "passphrase",
        "pw",
        "passin",
        "passout",
        "token",
        "key",
        "keyout",
        "keypass",
        "secret",
        "username",
        "user",
        "host",
        "port",
        "plain",
    ]
)
"""Long options with one dash, which are no short ones with a value."""
"""Long options with one dash, which are no short ones with a value."""


def values(words: list[Word], options: list[str], takes: str, *, joined: bool = False) -> Iterator[tuple[Word, int]]:
    """The values of `options`: the word, and from which character on."""
    for index, word in enumerate(words):
        for option in options:
            first = _joined(word.text, option, takes)
            if first is None:
                continue
            if first < len(word.text):
                yield word, first
            elif not joined and index + 1 < len(words):
                yield words[index + 1], 0


def _joined(text: str, option: str, takes: str) -> int | None:
    """Where in `text` the value of `option` begins, its end where that is the next word; None for something else."""
    if text == option:
        return len(text)
    if not option.startswith("-") or option.startswith("--") or len(option) > 2:
        signs = ("=",) if option.startswith("--") else ("=", ":")
        if option.endswith(":") and text.lower().startswith(option):
            return len(option)
        if option == "-hp" and text.startswith(option):
            return len(option)
        return len(option) + 1 if text.startswith(option) and text[len(option) :].startswith(signs) else None
    if not text.startswith("-") or text.startswith("--") or text[1:] in _LONG:
        return None
    for at, letter in enumerate(text[1:], 1):
        if letter == option[1]:
            return at + 1 + text.startswith("=", at + 1)
        if letter in takes or not letter.isalnum() or at > 4:
            return None
    return None


def placed(rest: list[Word], use: Use) -> Iterator[Word]:
    """The words at the places of `use`."""
    if not use.places:
        return
    wanted = use.when.rpartition(" ")[2].split("|")
    found = []
    skip = False
    behind = not use.when
    for word in rest:
        if not behind:
            behind = word.text in wanted
        elif skip:
            skip = False
        elif word.text.startswith("-") and len(word.text) > 1:
            skip = len(word.text) == 2 and word.text[1] in use.takes
        else:
            found.append(word)
    for place in use.places.split():
        first = len(found) - 1 if place == "last" else int(place.rstrip("+")) - 1
        yield from found[first:] if place.endswith("+") else found[first : first + 1]
