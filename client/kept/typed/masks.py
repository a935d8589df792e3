"""Masks what stands where a secret stands in a command line, and leaves everything else as it is, byte for byte.

Owns the rules over words. A rule decides by the place, never by how a value looks: `hunter2`, one letter, a word. What
the shell takes from elsewhere (`$TOKEN`, `$(pass show x)`) stays. What is not closed, and what is cut off, is masked
to its end: where a word ends isn't known there.

Refuses no text. In doubt a mask too many costs a word of a log, one too few a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from . import texts
from .names import Says, is_secret_file, is_wish, may_be_shown, said_by
from .programs import PROSE, RUNNERS, SHELLS, WRAPPERS, WRITERS, Use, uses_of
from .words import LITERAL, SUBSTITUTED, VARIABLE, Command, Redirection, Word, parse

MASK = "[redacted]"

LONGEST = 8000
"""Characters of a command that are read; the rest is masked."""

LEVELS = 4
"""Command lines within words of command lines; a word that is deeper is masked whole."""

_ROUNDS = 4
"""A mask may change how the rest is read; after so many rounds without a rest all of it is masked."""

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w.:-]+)\Z")
_OPTION_WITH_VALUE = re.compile(r"(?:--?|/)(?P<name>[A-Za-z][\w.:-]*?)(?P<sign>[=:])")
_NAME = re.compile(r"[\w./:@-]+\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[\w*\])?\+?=")
_FROM_INPUT = re.compile(
    r"--?[\w-]*(?:pass\w*|token|secret|key|auth|credentials?)[\w-]*-(?:stdin|fd)\b|--with-token\Z"
    r"|--?[\w-]*(?:pass(?:word|phrase|wd)?|token|secret)(?:-file)?=(?:-|/dev/stdin|stdin)\Z"
)
_SCHEMES = frozenset(("bearer", "basic", "token", "digest", "apikey", "bot", "negotiate"))
_ELSEWHERE = re.compile(r"(?:file|env|fd|prompt|keychain):|stdin\Z|-\Z")
_OPENSSL = re.compile(r"(?:pass|hexkey|key|str):")
_FILE = re.compile(r"-(?:file|fd)\Z")
_LONG = frozenset(
    "password pass passwd passphrase pw passin passout token key keyout keypass secret username user host port plain".split()
)
"""Long options with one dash, which are no short ones with a value."""

_KEYWORDS = frozenset(("{", "while", "until", "for", "if", "begin", "case"))


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
        takers = {index for index, command in enumerate(commands) if _reads_secret(command)}
        givers = _givers(commands, takers)
        for index, command in enumerate(commands):
            gives = self._cut and index == len(commands) - 1
            self._command(command, gives=gives or index in givers, takes=index in takers)

    def _command(self, command: Command, *, gives: bool, takes: bool) -> None:
        words = command.words
        programs = list(_programs(words))
        names = {name for _, name in programs}
        main = next((name for _, name in programs if name not in WRAPPERS), "")
        if gives and main in WRITERS:
            self._said(command)
        firsts = {name: index for index, name in reversed(programs)}
        for name, index in firsts.items():
            for use in uses_of(name):
                self._use(use, words, index)
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
        for index, name in _programs(command.words):
            if name in WRITERS:
                for word in command.words[index + 1 :]:
                    if not re.fullmatch(r"-[neErR]{1,3}|--", word.text) and not (name in ("cat", "tee")):
                        self._hide(word)
                break
        for redirection in command.redirections:
            if redirection.operator == "<<<":
                self._hide(redirection.target)
            elif redirection.body:
                self._places.append(redirection.body)

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
        sign = _ASSIGNMENT.match(text)
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
            elif word.nested and _is_meant(_FILE.sub("", match["name"]), ""):
                self._hide(word, match.end())
            return
        match = _OPTION.match(word.text)
        if match is None or index + 1 == len(words):
            return
        following = words[index + 1]
        if following.nested and said_by("the-" + _FILE.sub("", match["name"])) is not Says.NOTHING:
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
        for word, first in _values(rest, use.options.split(), use.takes):
            prefix = _OPENSSL.match(word.text, first)
            if not (prefix is None and _ELSEWHERE.match(word.text, first)):
                self._hide(word, prefix.end() if prefix else first)
        for word, first in _values(rest, use.joined.split(), use.takes, joined=True):
            self._hide(word, first)
        for word, first in _values(rest, use.pairs.split(), use.takes):
            at = min((found for sign in use.separators if (found := word.text.find(sign, first)) >= 0), default=-1)
            if at >= 0:
                self._hide(word, at + 1)
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
        for word in _placed(rest, use):
            self._hide(word)

    def _headers(self, use: Use, rest: list[Word]) -> None:
        if use.headers == "*":
            values: Iterable[tuple[Word, int]] = ((word, 0) for word in rest)
        else:
            values = _values(rest, use.headers.split(), use.takes)
        for word, first in values:
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
            if word.text.startswith("http-basic."):
                self._hide_first(rest[index + 2 :])
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
        if redirection.operator == "<<<" and secret:
            self._hide(target)
        elif redirection.operator == "<" and secret and target.nested:
            self._hide(target)
        programs = {name for _, name in _programs(command.words)}
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


def _programs(words: list[Word]) -> Iterator[tuple[int, str]]:
    """The words that may be programs, the command's own first: it stands behind assignments and wrappers, and a program
    that runs another has that among its words."""
    wrapped = True
    for index, word in enumerate(words):
        name = word.text.rpartition("/")[2].lower().removesuffix(".exe")
        if _ASSIGNMENT.match(word.text):
            continue
        if name in WRAPPERS:
            yield index, name
        elif wrapped and not word.text.startswith("-"):
            yield index, name
            # A wrapper's option may have a value: what follows it may be the program as well.
            before = words[index - 1].text if index else ""
            wrapped = before.startswith("-") and before != "--"
        elif index and (
            not words[index - 1].text.startswith("-") or words[index - 1].text in ("--", "-c", "-it", "-i", "-t", "-e")
        ):
            yield index, name


def _reads_secret(command: Command) -> bool:
    """Whether the command takes a secret from its standard input."""
    found = [word.text for word in command.words]
    if any(_FROM_INPUT.match(text) for text in found):
        return True
    for before, text in zip(found, found[1:], strict=False):
        if text in ("-", "/dev/stdin", "0") and before.startswith("-") and _OPTION.match(before):
            name = _FILE.sub("", before.lstrip("-"))
            if said_by(name) is Says.SECRET:
                return True
    for index, name in _programs(command.words):
        if index and command.words[index - 1].text not in WRAPPERS and name not in _READ_ANYWHERE:
            earlier = [word.text for word in command.words[:index]]
            if earlier[0] not in WRAPPERS | RUNNERS and not _ASSIGNMENT.match(earlier[0]):
                continue
        for use in uses_of(name):
            wanted = use.reads.split()
            if "*" in wanted or any(word in found[index + 1 :] for word in wanted):
                return True
        if name == "tee" and any(is_secret_file(text) for text in found[index + 1 :]):
            return True
    return False


_READ_ANYWHERE = frozenset(("sudo", "chpasswd", "passwd"))


def _givers(commands: list[Command], takers: set[int]) -> set[int]:
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


def _values(words: list[Word], options: list[str], takes: str, *, joined: bool = False) -> Iterator[tuple[Word, int]]:
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
        if option in ("-hp",) and text.startswith(option):
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


def _placed(rest: list[Word], use: Use) -> Iterator[Word]:
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
