"""Markdown as a terminal shows it, line by line: each line of the text stays a line, and is wrapped by words.

For what agents and people say, which is Markdown for the most part and hostile at worst. Knows headings, lists, quotes,
fenced code, rules, emphasis, inline code and links; whatever else there is (tables, HTML) stays as it is written.
Without colour the marks stay too, since nothing else would tell what they mean.

Refuses to lose a word, to join lines that somebody has cut, and to pass on a control character. Takes time that grows
with the length of the text, and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from .text import cells_of, clean

STRONG = "1"
"""Numbers of ECMA-48, SGR."""

_ASIDE = "2"
_EMPHASIS = "3"
_TITLE = "1;4"
_CODE = "36"

_TAB = 8
_LONGEST_STYLED = 20_000
"""Characters of a line after which it is wrapped and not styled: it is data, and not prose."""

_FENCE = re.compile(r"(?P<indent> *)(?P<mark>`{3,}+|~{3,}+)(?P<info>[^`]*)")
_HEADING = re.compile(r" {0,3}(?P<level>#{1,6}) (?P<text>.*)")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *")
_QUOTE = re.compile(r"(?P<marks>(?: {0,3}> ?)+)(?P<text>.*)")
_ITEM = re.compile(r"(?P<mark>(?:[-*+]|[0-9]{1,9}[.)]) )(?P<text>.*)")

# Each mark ends at the next of its kind, so that no character is looked at more than a few times.
_INLINE = re.compile(
    r"(?<!`)(?P<ticks>`{1,3})(?!`)(?P<code>[^`]++)(?P=ticks)(?!`)"
    r"|(?<![\w*])\*\*(?P<strong>[^\s*][^*]*+)(?<!\s)\*\*(?![\w*])"
    r"|(?<![\w*])\*(?P<star>[^\s*][^*]*+)(?<!\s)\*(?![\w*])"
    r"|(?<!\w)_(?P<low>[^\s_][^_]*+)(?<!\s)_(?!\w)"
    r"|\[(?P<link>[^\[\]]++)\]\((?P<url>[^\s()<>]++)\)"
)

_JOINED = "\u0300-\u036f\u200d\u3099\u309a\ufe00-\ufe0f"
_WIDE = (
    "\u1100-\u115f\u2e80-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
    "\U0001f300-\U0001faff\U00020000-\U0003fffd"
)
"""Characters of two cells, between which a line may end: scripts without spaces, and pictures."""

_TOKEN = re.compile(f"(?P<gap> +)|(?P<wide>[{_WIDE}](?:\u200d[{_WIDE}]|[{_JOINED}])*)|[^ {_WIDE}]+")

_Piece = tuple[str, str]
"""A text and its style, which may be empty."""


def draw(text: str, width: int, colour: bool) -> Iterator[str]:
    """The lines of `text`, without ends, in `width` cells (at least 10). Only a word, a line of code and a row of a
    table may be wider. Escape sequences are in it only with `colour`, and none of them is the text's own."""
    fence = ""
    for line in plain(text):
        if fence:
            mark = line.strip(" ")
            closes = len(mark) >= len(fence) and not mark.strip(fence[0])
            fence = "" if closes else fence
            if not (closes and colour):
                yield f"  {styled(line, _CODE)}" if colour and line else line
        elif found := _FENCE.fullmatch(line):
            fence = found["mark"]
            if not colour:
                yield line
            elif found["info"].strip():
                yield f"  {styled(found['info'].strip(), _ASIDE)}"
        else:
            yield from _line(line, width, colour)


def plain(text: str) -> Iterator[str]:
    """The lines of `text` as they are, but for what a terminal could obey."""
    return (line.expandtabs(_TAB).rstrip(" ") for line in clean(text).split("\n"))


def styled(text: str, style: str) -> str:
    """`text` in a style; the text must be clean."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def _line(line: str, width: int, colour: bool) -> Iterator[str]:
    if line.lstrip(" ").startswith("|"):
        yield line
    elif colour and _RULE.fullmatch(line):
        yield styled("─" * width, _ASIDE)
    elif colour and (heading := _HEADING.fullmatch(line)):
        style = _TITLE if heading["level"] == "#" else STRONG
        yield from wrap(_pieces(_without_end(heading["text"]), style), width)
    else:
        yield from _prose(line, width, colour)


def _without_end(heading: str) -> str:
    """A heading without the marks that may stand behind it as well."""
    text = heading.rstrip("#")
    return text.strip(" ") if text.endswith(" ") else heading.strip(" ")


def _prose(line: str, width: int, colour: bool) -> Iterator[str]:
    first = rest = ""
    room = max(width // 2, 1)
    if quote := _QUOTE.fullmatch(line):
        line = quote["text"]
        first = rest = ("│ " if colour else "> ") * min(quote["marks"].count(">"), room // 2)
    bare = line.lstrip(" ")
    indent = " " * min(len(line) - len(bare), max(room - len(rest), 0))
    first += indent
    rest += indent
    if item := _ITEM.fullmatch(bare):
        bare = item["text"].lstrip(" ")
        first += item["mark"]
        rest += " " * len(item["mark"])
    if len(rest) > room:
        rest = rest[:room]
    pieces = _pieces(bare, "") if colour and len(bare) <= _LONGEST_STYLED else [(bare, "")]
    return wrap(pieces, width, first, rest)


def _pieces(text: str, style: str) -> list[_Piece]:
    """`text` with its inline marks made into styles, on top of `style`."""
    found: list[_Piece] = []
    at = 0
    for mark in _INLINE.finditer(text):
        found.append((text[at : mark.start()], style))
        at = mark.end()
        if code := mark["code"]:
            found.append((code, _and(style, _CODE)))
        elif strong := mark["strong"]:
            found += _pieces(strong, _and(style, STRONG))
        elif link := mark["link"]:
            found += _pieces(link, style)
            if mark["url"] != link:
                found.append((f" ({mark['url']})", _and(style, _ASIDE)))
        else:
            found += _pieces(mark["star"] or mark["low"], _and(style, _EMPHASIS))
    found.append((text[at:], style))
    return found


def _and(style: str, other: str) -> str:
    return f"{style};{other}" if style else other


def wrap(pieces: Iterable[_Piece], width: int, first: str = "", rest: str = "") -> Iterator[str]:
    """Lines of `width` cells; the first begins with `first`, the others with `rest`. Spaces at an end of a line are
    dropped, all others stay."""
    line: list[_Piece] = [(first, "")]
    column, begun = cells_of(first), False
    for gap, word in _words(pieces):
        size = sum(cells_of(text) for text, _ in word)
        space = gap
        if begun and column + len(gap) + size > width:
            yield _joined(line)
            line, column, space = [(rest, "")], cells_of(rest), ""
        within = begun and line[-1][1] == word[0][1]
        line.append((space, word[0][1] if within else ""))
        line += word
        column += len(space) + size
        begun = True
    yield _joined(line).rstrip(" ")


def _joined(line: Iterable[_Piece]) -> str:
    runs = groupby((piece for piece in line if piece[0]), key=itemgetter(1))
    return "".join(styled("".join(text for text, _ in run), style) for style, run in runs)


def _words(pieces: Iterable[_Piece]) -> Iterator[tuple[str, list[_Piece]]]:
    """What may not be broken, each with the spaces in front of it."""
    gap = ""
    word: list[_Piece] = []
    was_wide = False
    for text, style in pieces:
        for found in _TOKEN.finditer(text):
            is_gap, is_wide = found["gap"] is not None, found["wide"] is not None
            if word and (is_gap or is_wide or was_wide):
                yield gap, word
                gap, word = "", []
            if is_gap:
                gap += found[0]
            else:
                word.append((found[0], style))
            was_wide = is_wide
    if word:
        yield gap, word
