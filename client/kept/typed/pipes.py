"""Which words are programs, which programs read a secret from standard input, and whose output reaches them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from .names import Says, is_secret_file, said_by
from .programs import INSTALLERS, RUNNERS, WRAPPERS, uses_of
from .words import Command, Word

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[\w*\])?\+?=")
OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w.:-]+)\Z")
FILE = re.compile(r"-(?:file|fd)\Z")
"""The end of an option's name that says where the secret is."""

_FROM_INPUT = re.compile(
    r"--?[\w-]*(?:pass\w*|token|secret|key|auth|credentials?)[\w-]*-(?:stdin|fd)\b|--with-token\Z"
    r"|--?[\w-]*(?:pass(?:word|phrase|wd)?|token|secret)(?:-file)?=(?:-|/dev/stdin|stdin)\Z"
)
_KEYWORDS = frozenset(("{", "while", "until", "for", "if", "begin", "case"))


_PYTHON = re.compile(r"(?:python|pypy|py)[0-9.]*")
_MODULE = re.compile(r"-[A-Za-z]{0,9}?m(?P<name>[A-Za-z_][\w.]*)")
"""A module that is joined to its option: `-mkept`."""

_VERSION = re.compile(r"(?:@|[=<>~!]=).*")


def program_of(word: str) -> str:
    """The program that a word is the path of, whatever its version."""
    name = word.rpartition("/")[2].lower().removesuffix(".exe")
    return "python" if _PYTHON.fullmatch(name) else name


def programs_of(words: list[Word]) -> Iterator[tuple[int, str]]:
    """The words that may be programs, the command's own first: it stands behind assignments and wrappers, and a program
    that runs another has that among its words."""
    wrapped = True
    wrappers: set[str] = set()
    for index, word in enumerate(words):
        name = program_of(word.text)
        if wrappers & INSTALLERS:
            name = _VERSION.sub("", name)
        elif ASSIGNMENT.match(word.text):
            continue
        before = words[index - 1].text if index else ""
        if "python" in wrappers and (module := _MODULE.fullmatch(word.text) or _MODULE.fullmatch(before + word.text)):
            yield index, program_of(module["name"])
            wrapped = False
            continue
        if name in WRAPPERS:
            wrappers.add(name)
            yield index, name
        elif wrapped and not word.text.startswith("-"):
            yield index, name
            # A wrapper's option may have a value: what follows it may be the program as well.
            wrapped = before.startswith("-") and before != "--"
        elif index and (not before.startswith("-") or before in ("--", "-c", "-it", "-i", "-t", "-e")):
            yield index, name


def reads_secret(command: Command) -> bool:
    """Whether the command takes a secret from its standard input."""
    found = [word.text for word in command.words]
    if any(_FROM_INPUT.match(text) for text in found):
        return True
    for before, text in pairwise(found):
        if text in ("-", "/dev/stdin", "0") and before.startswith("-") and OPTION.match(before):
            name = FILE.sub("", before.lstrip("-"))
            if said_by(name) is Says.SECRET:
                return True
    return any(_program_reads(found, index, name) for index, name in programs_of(command.words))


def _program_reads(words: list[str], index: int, name: str) -> bool:
    named = index and program_of(words[index - 1]) not in WRAPPERS and name not in _READ_ANYWHERE
    if named and program_of(words[0]) not in WRAPPERS | RUNNERS and not ASSIGNMENT.match(words[0]):
        return False  # `man passwd` reads nothing; `ssh host chpasswd` does.
    behind = words[index + 1 :]
    if name == "tee" and any(map(is_secret_file, behind)):
        return True
    wanted = [word for use in uses_of(name) for word in use.reads.split()]
    return "*" in wanted or any(word in behind for word in wanted)


_READ_ANYWHERE = frozenset(("sudo", "chpasswd", "passwd"))


def givers(commands: list[Command], takers: set[int]) -> set[int]:
    """The commands whose output reaches one of the `takers`."""
    found = set()
    last = max(takers, default=-1)
    grouped = max((taker for taker in takers if commands[taker].grouped), default=-1)
    for index in range(len(commands) - 2, -1, -1):
        following = commands[index + 1]
        opens = following.opens or (bool(following.words) and following.words[0].text in _KEYWORDS)
        reaches = index + 1 in takers or index + 1 in found or (opens and last > index)
        if grouped > index or (following.piped and reaches):
            found.add(index)
    return found
