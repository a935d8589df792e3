"""A command line as a shell reads it: commands of words, each with the places in the line that its characters have.

Owns the reading: quotes, backslashes, comments, operators, redirections, here-documents, substitutions. It follows
the POSIX shell's grammar (XCU 2.2, 2.3 and 2.7) with what bash, zsh and fish add where that changes where a word
ends. Expands nothing and judges nothing.

Refuses no text: what is not closed is where `Script.broken` says so, and the reading ends there. Linear in the text;
substitutions are read to a depth of `DEPTH`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DEPTH = 12
"""Substitutions within each other; what is deeper counts as not closed."""

LITERAL, VARIABLE, SUBSTITUTED = 0, 1, 2
"""What a character of a word is: typed as it stands, part of a variable's name, or all of a command substitution."""

_PLAIN = re.compile(r"[^ \t\r\v\f\n;|&<>()'\"\\$`#]+")
_IN_DOUBLE = re.compile(r"[^\"\\$`]+")
_VARIABLE = re.compile(r"\$(?:\w+|[@*#?!$-]|\{\w+\})")
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=\Z")
_BLANK = " \t\r\v\f"
_SEPARATORS = (";;&", ";;", ";&", "&&", "||", "|&", ";", "|", "&", "\n", "(", ")")
_REDIRECTIONS = ("<<<", "<<-", "<<", "<>", "<&", "<", "&>>", "&>", ">>", ">|", ">&", ">")
_CLOSES = frozenset(("}", "done", "fi", "esac", "end"))
_PLAIN_ESCAPES = {"n": "\n", "t": "\t"}


class Word:
    """A word: `text` without its quotes, and for each character its place in the line, what it is, and its quotes.

    `nested` are the commands of its substitutions; `elements` the words of an array (`NAME=(a b)`).
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.text = ""
        self.kinds: list[int] = []
        self.nested: list[list[Command]] = []
        self.elements: list[Word] = []
        self._parts: list[str] = []
        self._places: list[tuple[int, int]] = []
        self._quotes: list[int] = []
        self._quoted: list[tuple[int, int, int, int]] = []

    def add(self, text: str, start: int, end: int, kind: int = LITERAL) -> None:
        """Characters that stand from `start` to `end`: each at its own place, or one at all of it."""
        self._parts.append(text)
        if len(text) == end - start:
            self._places.extend((start + offset, start + offset + 1) for offset in range(len(text)))
        else:
            self._places.extend([(start, end)] * len(text))
        self.kinds.extend([kind] * len(text))
        self._quotes.extend([-1] * len(text))

    def quoted(self, first: int, start: int, end: int) -> None:
        """Say that the characters from the `first` on are within the quotes from `start` to `end`."""
        count = len(self.kinds)
        self._quotes[first:] = [len(self._quoted)] * (count - first)
        self._quoted.append((start, end, first, count))

    def may_be_array(self) -> bool:
        """Whether what was read so far is `NAME=`."""
        return bool(self._parts) and _ARRAY.match(self._parts[-1]) is not None

    def size(self) -> int:
        """How many characters there are so far."""
        return len(self.kinds)

    def finish(self, end: int) -> None:
        """Nothing more comes."""
        self.text = "".join(self._parts)
        self.end = end

    def place(self, first: int, last: int) -> tuple[int, int]:
        """Where in the line the characters from `first` to before `last` stand.

        Quotes that hold nothing else belong to it, and those that it cuts in two do so with all that they hold: what
        is left has its quotes in pairs.
        """
        start, end = self._places[first][0], self._places[last - 1][1]
        left, right = self._quotes[first], self._quotes[last - 1]
        if left >= 0:
            opened, _, begins, ends = self._quoted[left]
            if left != right or (begins == first and ends == last):
                start = opened
        if right >= 0:
            _, closed, begins, ends = self._quoted[right]
            if left != right or (begins == first and ends == last):
                end = closed
        return start, end


class Redirection:
    """`operator` and its `target`; of a here-document also the place of its body."""

    def __init__(self, operator: str, target: Word) -> None:
        self.operator = operator
        self.target = target
        self.body: tuple[int, int] | None = None


class Command:
    """A simple command: its words, its redirections, and what its standard input comes from."""

    def __init__(self) -> None:
        self.words: list[Word] = []
        self.redirections: list[Redirection] = []
        self.piped = False
        """Whether it stands behind `|`."""
        self.grouped = False
        """Whether what stands before that `|` is more than one command."""
        self.opens = False
        """Whether a parenthesis begins before it."""


class Script:
    """All commands of a text in their order. `broken` is where something begins that is not closed."""

    def __init__(self, commands: list[Command], broken: int | None) -> None:
        self.commands = commands
        self.broken = broken


def parse(text: str) -> Script:
    """Read `text`. Total: there is no text that it fails on."""
    reader = _Reader(text)
    commands = reader.commands("", 0)
    return Script(commands, reader.broken)


def every_word(commands: list[Command]) -> Iterator[Word]:
    """The words and the targets of redirections, without those of substitutions."""
    for command in commands:
        yield from command.words
        yield from (redirection.target for redirection in command.redirections)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._awaited: list[Redirection] = []
        self._no_sums = False
        self._in_backticks = False
        self.broken: int | None = None

    def commands(self, closing: str, depth: int) -> list[Command]:
        """Up to the character that closes a substitution, which is passed, or to the end."""
        text = self._text
        found: list[Command] = []
        command = Command()
        open_groups = 0
        while self._at < len(text):
            char = text[self._at]
            if char in _BLANK or text.startswith("\\\n", self._at):
                self._at += 1 if char in _BLANK else 2
            elif char == closing and (closing == "`" or not open_groups):
                break
            elif char == "#":
                command.words.append(self._comment())
            elif self._is_redirection():
                self._redirection(command, depth)
            elif separator := self._one_of(_SEPARATORS):
                open_groups = max(open_groups + {"(": 1, ")": -1}.get(separator, 0), 0)
                command = self._separated(found, command, separator)
            else:
                command.words.append(self._word(depth))
        if command.words or command.redirections:
            found.append(command)
        self._at += 1
        return found

    def _separated(self, found: list[Command], command: Command, separator: str) -> Command:
        """Ends a command; the next one."""
        self._at += len(separator)
        empty = not command.words and not command.redirections
        if separator == "\n":
            self._bodies()
        if empty and separator in ("\n", "("):
            command.opens = command.opens or separator == "("
            return command
        if not empty:
            found.append(command)
        following = Command()
        if separator in ("|", "|&"):
            following.piped = True
            following.grouped = empty or (bool(command.words) and command.words[-1].text in _CLOSES)
        return following

    def _one_of(self, wanted: tuple[str, ...]) -> str:
        return next((each for each in wanted if self._text.startswith(each, self._at)), "")

    def _is_redirection(self) -> bool:
        char = self._text[self._at]
        return (char in "<>" and self._text[self._at + 1 : self._at + 2] != "(") or self._text.startswith(
            "&>", self._at
        )

    def _comment(self) -> Word:
        start = self._at
        end = self._text.find("\n", start)
        self._at = end if end >= 0 else len(self._text)
        word = Word(start)
        word.add(self._text[start : self._at], start, self._at)
        word.finish(self._at)
        return word

    def _redirection(self, command: Command, depth: int) -> None:
        operator = self._one_of(_REDIRECTIONS)
        before = command.words[-1] if command.words else None
        if before is not None and before.end == self._at and before.text.isdigit():
            command.words.pop()  # The number of a descriptor.
        self._at += len(operator)
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        redirection = Redirection(operator, self._word(depth))
        command.redirections.append(redirection)
        if operator in ("<<", "<<-"):
            self._awaited.append(redirection)

    def _bodies(self) -> None:
        """The here-documents that were announced on the line that has ended."""
        awaited, self._awaited = self._awaited, []
        for redirection in awaited:
            start = self._at
            end = redirection.target.text
            while self._at < len(self._text):
                stop = self._text.find("\n", self._at)
                line = self._text[self._at : stop if stop >= 0 else len(self._text)]
                begin, self._at = self._at, (stop + 1 if stop >= 0 else len(self._text))
                if (line.lstrip("\t") if redirection.operator == "<<-" else line) == end:
                    redirection.body = (start, begin)
                    break
            else:
                if start < len(self._text):
                    self._break(start)
                return

    def _break(self, at: int) -> None:
        """From here on nothing can be read."""
        self.broken = at if self.broken is None else min(at, self.broken)
        self._at = len(self._text)

    def _word(self, depth: int) -> Word:
        text = self._text
        word = Word(self._at)
        while self._at < len(text):
            if plain := _PLAIN.match(text, self._at):
                word.add(plain[0], self._at, plain.end())
                self._at = plain.end()
            elif not self._special(word, depth):
                break
        word.finish(min(self._at, len(text)))
        return word

    def _special(self, word: Word, depth: int) -> bool:
        """What begins with a character that is special within a word; False where the word ends before it."""
        text, start = self._text, self._at
        char = text[start]
        if char == "`" and self._in_backticks:
            return False
        if char in "'\"":
            self._single(word) if char == "'" else self._double(word, depth)
        elif char == "\\":
            if text[start + 1 : start + 2] != "\n":
                word.add(text[start + 1 : start + 2], start, min(start + 2, len(text)))
            self._at += 2
        elif text.startswith(("$'", '$"'), start):
            self._at += 1
            self._escaped(word) if text[self._at] == "'" else self._double(word, depth)
        elif char in "$`" or text.startswith(("<(", ">("), start):
            self._expansion(word, depth)
        elif char == "(" and word.may_be_array():
            self._array(word, depth)
        elif char == "#":
            word.add(char, start, start + 1)
            self._at += 1
        else:
            return False
        return True

    def _array(self, word: Word, depth: int) -> None:
        start = self._at
        if depth >= DEPTH:
            self._break(start)
            return
        self._at += 1
        outside, self._in_backticks = self._in_backticks, False
        for command in self.commands(")", depth + 1):
            word.elements.extend(command.words)
        self._in_backticks = outside
        if self._at > len(self._text):
            self._break(start)

    def _single(self, word: Word) -> None:
        start = self._at
        end = self._text.find("'", start + 1)
        if end < 0:
            self._break(start)
            return
        first = word.size()
        word.add(self._text[start + 1 : end], start + 1, end)
        word.quoted(first, start, end + 1)
        self._at = end + 1

    def _escaped(self, word: Word) -> None:
        """`$'...'`, from its quote on."""
        text, start, first = self._text, self._at, word.size()
        at = start + 1
        while at < len(text) and text[at] != "'":
            size = 2 if text[at] == "\\" else 1
            char = text[at + size - 1 : at + size]
            word.add(_PLAIN_ESCAPES.get(char, char) if size == 2 else char, at, at + size)
            at += size
        if at >= len(text):
            self._break(start - 1)
            return
        word.quoted(first, start - 1, at + 1)
        self._at = at + 1

    def _double(self, word: Word, depth: int) -> None:
        text, start, first = self._text, self._at, word.size()
        self._at += 1
        while self._at < len(text) and text[self._at] != '"':
            at = self._at
            if plain := _IN_DOUBLE.match(text, at):
                word.add(plain[0], at, plain.end())
                self._at = plain.end()
            elif text[at] == "`" and self._in_backticks:
                break
            elif text[at] != "\\":
                self._expansion(word, depth)
            else:
                following = text[at + 1 : at + 2]
                if following and following in '"\\$`':
                    word.add(following, at, at + 2)
                elif following != "\n":
                    word.add(text[at : at + 2], at, min(at + 2, len(text)))
                self._at += 2
        if text[self._at : self._at + 1] != '"':
            self._break(start)
            return
        self._at += 1
        word.quoted(first, start, self._at)

    def _expansion(self, word: Word, depth: int) -> None:
        """From a `$`, a backtick, or `<(`."""
        text, start = self._text, self._at
        if variable := _VARIABLE.match(text, start):
            word.add(variable[0], start, variable.end(), VARIABLE)
            self._at = variable.end()
        elif text.startswith("${", start):
            self._braces(word)
        elif text.startswith("$((", start) and (end := self._sum(start)) >= 0:
            word.add(text[start:end], start, end, VARIABLE)
            self._at = end
        elif text[start] == "`" or text.startswith("(", start + 1):
            self._substitution(word, depth)
        else:
            word.add(text[start], start, start + 1)
            self._at += 1

    def _braces(self, word: Word) -> None:
        """`${NAME:-word}` and its like, whose text counts as typed."""
        start = self._at
        end = self._text.find("}", start)
        if end < 0:
            self._break(start)
            return
        word.add(self._text[start : end + 1], start, end + 1)
        self._at = end + 1

    def _sum(self, start: int) -> int:
        """Where an arithmetic expansion ends, or -1."""
        end = -1 if self._no_sums else self._text.find("))", start)
        self._no_sums = end < 0
        return end + 2 if end >= 0 else -1

    def _substitution(self, word: Word, depth: int) -> None:
        text, start = self._text, self._at
        if depth >= DEPTH:
            self._break(start)
            return
        backtick = text[start] == "`"
        self._at += 1 if backtick else 2
        outside = self._awaited, self._in_backticks
        self._awaited, self._in_backticks = [], backtick
        word.nested.append(self.commands("`" if backtick else ")", depth + 1))
        self._awaited, self._in_backticks = outside
        if self._at > len(text):
            self._break(start)
            return
        word.add("\ufffc", start, self._at, SUBSTITUTED)
