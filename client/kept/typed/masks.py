"""Masks what stands where a secret stands in a command line, and leaves everything else as it is, byte for byte.

Owns the rules over words. A rule decides by the place, never by how a value looks: `hunter2`, one letter, a word. What
the shell takes from elsewhere (`$TOKEN`, `$(pass show x)`) stays. What is not closed, and what is cut off, is masked
to its end: where a word ends isn't known there.

Refuses no text. In doubt a mask too many costs a word of a log, one too few a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import texts
from .names import Says, is_secret_file, is_wish, may_be_shown, said_by
from .pipes import ASSIGNMENT, FILE, OPTION, givers, programs_of, reads_secret
from .places import placed, values
from .programs import PROSE, RUNNERS, SHELLS, WRAPPERS, WRITERS, Use, uses_of
from .words import LITERAL, SUBSTITUTED, VARIABLE, Command, Redirection, Word, parse

MASK = "[redacted]"

LONGEST = 8000
"""Characters of a command that are read; the rest is masked."""

LEVELS = 4
"""Command lines within words of command lines; a word that is deeper is masked whole."""

_ROUNDS = 4
"""A mask may change how the rest is read; after so many rounds without a rest all of it is masked."""

_OPTION_WITH_VALUE = re.compile(r"(?:--?|/)(?P<name>[A-Za-z][\w.:-]*?)(?P<sign>[=:])")
_NAME = re.compile(r"[\w./:@-]+\Z")
_SCHEMES = frozenset(("bearer", "basic", "token", "digest", "apikey", "bot", "negotiate"))
_ELSEWHERE = re.compile(r"(?:file|env|fd|prompt|keychain):|stdin\Z|-\Z")
_OPENSSL = re.compile(r"(?:pass|hexkey|key|str):")
_COMMAND = re.compile(
    r"(?:--?)?[\w-]*pass(?:word|phrase)?[_-]?(?:command|cmd|eval)(?P<sign>=)?(?P<told>(?:echo|printf)\s.*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What names a command that puts a password out."""

_ECHO = re.compile(r"(?:echo|printf)\s")


def mask(command: str, *, cut: bool = False) -> str:
    """`command` with each secret replaced by `MASK`. Masking it again changes nothing.

    `cut`: its end is missing, and so perhaps the program that it pipes a secret into.
    """
    text, rest = command[:LONGEST], command[LONGEST:]
    for _ in range(_ROUNDS):
        masked = _replaced(text, _Review(text, 0, cut=cut or bool(rest)).places())
        if masked == text:
            return text if not rest or text.endswith(MASK) else text + MASK
        text = masked
    return MASK


def _replaced(text: str, places: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    at = -1
    for start, end in sorted(places):
        if start > at:
            parts.extend((text[max(at, 0) : start], MASK))
        at = max(at, end)
    return "".join((*parts, text[max(at, 0) :]))


class _Review:
    """One reading of a text."""

    def __init__(self, text: str, level: int, *, cut: bool) -> None:
        self._text = text
        self._level = level
        self._cut = cut
        self._places: list[tuple[int, int]] = []

    def places(self) -> list[tuple[int, int]]:
        """Where secrets stand."""
        script = parse(self._text)
        self._list(script.commands)
        if script.broken is not None:
            self._places.append((script.broken, len(self._text)))
        elif self._cut and script.commands and script.commands[-1].words:
            word = script.commands[-1].words[-1]
            if word.end == len(self._text):
                self._hide(word)
        return [(start, end) for start, end in self._places if start < end and self._text[start:end] != MASK]

    def _list(self, commands: list[Command]) -> None:
        takers = {index for index, command in enumerate(commands) if reads_secret(command)}
        giving = givers(commands, takers)
        for index, command in enumerate(commands):
            if index in takers:
                self._given(command.words)
            gives = self._cut and index == len(commands) - 1
            self._command(command, gives=gives or index in giving, takes=index in takers)

    def _command(self, command: Command, *, gives: bool, takes: bool) -> None:
        words = command.words
        programs = list(programs_of(words))
        names = {name for _, name in programs}
        main = next((name for _, name in programs if name not in WRAPPERS), "")
        if gives and main in WRITERS:
            self._said(command)
        firsts = {name: index for index, name in reversed(programs)}
        for name, index in firsts.items():
            for use in uses_of(name):
                self._use(use, words, index)
        for index, word in enumerate(words):
            found = _COMMAND.match(word.text)
            if found and found["told"]:
                self._hide(word, found.start("told"))
            elif found and not found["sign"] and index + 1 < len(words) and _ECHO.match(words[index + 1].text):
                self._hide(words[index + 1])
        hidden = {start for start, _ in self._places}
        for index, word in enumerate(words):
            self._word(word, names, main)
            if not any(place in hidden for place in range(word.start, word.end)):
                self._option(words, index, names)
        for redirection in command.redirections:
            self._redirection(redirection, command, main, secret=takes or (gives and main in WRITERS))

    def _hide(self, word: Word, first: int = 0, last: int | None = None) -> None:
        """Mask a word from one character to before another, unless it comes from elsewhere."""
        for element in word.elements:
            self._hide(element)
        text = word.text[first:last]
        kinds = word.kinds[first:last]
        if not text or text == MASK:
            return
        typed = [char for char, kind in zip(text, kinds, strict=True) if kind == LITERAL and char != "\ufffc"]
        if VARIABLE in kinds or SUBSTITUTED in kinds or not typed:
            for commands in word.nested:
                for command in commands:
                    self._said(command)
            if not any(char.isalnum() for char in typed):
                return
        self._places.append(word.place(first, first + len(text)))

    def _said(self, command: Command) -> None:
        """Mask what `echo` and its like put out."""
        for index, name in programs_of(command.words):
            if name in WRITERS:
                for word in command.words[index + 1 :]:
                    if not re.fullmatch(r"-[neErR]{1,3}|--", word.text) and name not in ("cat", "tee"):
                        self._hide(word)
                break
        for redirection in command.redirections:
            if redirection.operator == "<<<":
                self._hide(redirection.target)
            elif redirection.body:
                self._places.append(redirection.body)

    def _given(self, words: list[Word]) -> None:
        """Mask what substitutions put out for a program that takes a secret: `wg set wg0 private-key <(echo x)`."""
        for commands in (nested for word in words for nested in word.nested):
            for command in commands:
                self._said(command)

    def _word(self, word: Word, names: set[str], main: str) -> None:
        """What holds in any word."""
        for commands in word.nested:
            self._list(commands)
        for element in word.elements:
            self._word(element, names, main)
        text = word.text
        if text.startswith("#"):
            self._within(word, 1, loose=True)
            return
        if setting := texts.setting_value(text):
            self._hide(word, *setting)
        elif word.elements and said_by(text.rstrip("=+")) is Says.SECRET:
            self._hide(word)
        for start, end in texts.found(text, written=main in WRITERS and main not in PROSE):
            self._hide(word, start, end)
        if "expect" in names:
            for start, end in texts.sent(text):
                self._hide(word, start, end)
        sign = ASSIGNMENT.match(text)
        if any(char in text for char in " \t\n;|") and (names & RUNNERS or main in WRITERS or sign):
            self._within(word, sign.end() if sign else 0, loose=main in WRITERS)

    def _within(self, word: Word, first: int, *, loose: bool = False) -> None:
        """Read a word as a command line of its own. `loose`: it may be a sentence, whose apostrophes open nothing."""
        if self._level >= LEVELS:
            self._hide(word, first)
            return
        text = word.text[first:]
        review = _Review(text, self._level + 1, cut=False)
        if loose and parse(text).broken is not None:
            review = _Review(re.sub(r"[\"'`\\$]", " ", text), self._level + 1, cut=False)
        for start, end in review.places():
            self._hide(word, first + start, first + end)

    def _option(self, words: list[Word], index: int, names: set[str]) -> None:
        """`--password x` and `--password=x`, of any program."""
        word = words[index]
        if match := _OPTION_WITH_VALUE.match(word.text):
            value = word.text[match.end() :]
            if _is_meant(match["name"], value):
                start = match.start("name")
                setting = texts.setting_value(word.text[start:])
                self._hide(word, *((start + setting[0], start + setting[1]) if setting else (match.end(), None)))
            elif word.nested and _is_meant(FILE.sub("", match["name"]), ""):
                self._hide(word, match.end())
            return
        match = OPTION.match(word.text)
        if match is None or index + 1 == len(words):
            return
        following = words[index + 1]
        if following.nested and said_by("the-" + FILE.sub("", match["name"])) is not Says.NOTHING:
            self._hide(following)  # --password-file <(echo x)
        if is_wish(word.text) or any(word.text in use.flags.split() for name in names for use in uses_of(name)):
            return
        says = said_by(match["name"])
        if says is Says.PERHAPS and following.text.startswith("-"):
            return
        if _is_meant(match["name"], following.text):
            if _ELSEWHERE.match(following.text) and word.text.startswith(("-pass", "--pass")):
                return
            prefix = _OPENSSL.match(following.text) if word.text.startswith("-pass") else None
            self._hide(following, prefix.end() if prefix else 0)

    def _use(self, use: Use, words: list[Word], program: int) -> None:
        """What is known of one program, whose name is the word `program`."""
        rest = words[program + 1 :]
        texts_of = [word.text for word in rest]
        if not all(any(each in texts_of for each in need.split("|")) for need in use.when.split()):
            return
        self._option_values(use, rest)
        self._headers(use, rest)
        for index, word in enumerate(rest[:-2]):
            if word.text in use.named.split() and _is_meant(rest[index + 1].text, rest[index + 2].text):
                self._hide(rest[index + 2])
        if use.by_name:
            self._by_name(rest)
        if use.assigned:
            for word in rest:
                if (sign := word.text.find("=")) > 0 and not word.text.startswith("-"):
                    self._hide(word, sign + 1)
        if use.split:
            self._split(rest, *use.split)
        for word in placed(rest, use):
            self._hide(word)

    def _option_values(self, use: Use, rest: list[Word]) -> None:
        for word, first in values(rest, use.options.split(), use.takes):
            prefix = _OPENSSL.match(word.text, first)
            if not (prefix is None and _ELSEWHERE.match(word.text, first)):
                self._hide(word, prefix.end() if prefix else first)
        for word, first in values(rest, use.joined.split(), use.takes, joined=True):
            self._hide(word, first)
        for word, first in values(rest, use.pairs.split(), use.takes):
            at = min((found for sign in use.separators if (found := word.text.find(sign, first)) >= 0), default=-1)
            if at >= 0:
                self._hide(word, at + 1)

    def _headers(self, use: Use, rest: list[Word]) -> None:
        if use.headers == "*":
            found: Iterable[tuple[Word, int]] = ((word, 0) for word in rest)
        else:
            found = values(rest, use.headers.split(), use.takes)
        for word, first in found:
            start = texts.header_value(word.text[first:])
            if start is None:
                continue
            if first + start < len(word.text):
                self._hide(word, first + start)
            elif use.headers != "*":  # The quotes are missing: -H Authorization: Bearer x
                following = rest[rest.index(word) + 1 :]
                self._hide_first([each for each in following[:2] if each.text.lower() not in _SCHEMES])

    def _hide_first(self, words: list[Word]) -> None:
        for word in words[:1]:
            self._hide(word)

    def _by_name(self, rest: list[Word]) -> None:
        named = False
        for index, word in enumerate(rest):
            if word.text.startswith(("http-basic.", "github-oauth.", "gitlab-token.", "bearer.")):
                self._hide_first(rest[index + (2 if word.text[0] == "h" else 1) :])
            elif named and not word.text.startswith("-"):
                self._hide(word)
            elif not word.text.startswith("-") and "=" not in word.text:
                named = _NAME.match(word.text) is not None and said_by(word.text) is Says.SECRET

    def _split(self, rest: list[Word], opening: str, closing: str) -> None:
        for word in rest:
            start = word.text.find(opening)
            if start > 0 and not word.text.startswith("-"):
                end = word.text.rfind(closing)
                self._hide(word, start + 1, end if end > start else None)

    def _redirection(self, redirection: Redirection, command: Command, main: str, *, secret: bool) -> None:
        target = redirection.target
        for commands in target.nested:
            self._list(commands)
        if ">" in redirection.operator and is_secret_file(target.text):
            self._said(command)
        if (redirection.operator == "<<<" and secret) or (redirection.operator == "<" and secret and target.nested):
            self._hide(target)
        programs = {name for _, name in programs_of(command.words)}
        if redirection.operator == "<<<":
            if programs & RUNNERS:
                self._within(target, 0)
            elif "read" in programs and any(said_by(word.text) is Says.SECRET for word in command.words[1:]):
                self._hide(target)
            for start, end in texts.found(target.text, written=main not in PROSE):
                self._hide(target, start, end)
        elif redirection.body:
            self._body(redirection.body, programs, secret=secret, prose=main in PROSE)

    def _body(self, body: tuple[int, int], programs: set[str], *, secret: bool, prose: bool) -> None:
        """A here-document."""
        start, end = body
        text = self._text[start:end]
        if secret:
            self._places.append(body)
            return
        found = list(texts.found(text, written=not prose))
        if "expect" in programs:
            found += texts.sent(text)
        if programs & (SHELLS | {"ssh", "at", "batch", "su", "sudo"}):
            if self._level >= LEVELS:
                self._places.append(body)
                return
            found += _Review(text, self._level + 1, cut=False).places()
        for first, last in found:
            if not re.fullmatch(r"\$(?:\w+|\{\w+\})", text[first:last]):
                self._places.append((start + first, start + last))


def _is_meant(name: str, value: str) -> bool:
    says = said_by(name)
    return says is Says.SECRET or (says is Says.PERHAPS and not may_be_shown(value))
