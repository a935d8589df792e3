"""Names of new entries. A secret is picked from a list by its name, so no two may differ in nothing that shows.

Refuses white space around a name, characters that show nothing, and spaces that look like the plain one: Unicode's
categories Cc, Cf, Zl, Zp and Zs (but for the plain and the ideographic space), and other code points that are ignored
in display (Default_Ignorable_Code_Point, UAX #44) or blank. Among them are zero-width characters, those that turn the
direction of what follows, and tags, which can carry text that only programs read.

Two of them are part of how words and emoji are written, and change what is seen there: the joiners, behind a virama or
between letters that join from right to left (RFC 5892, A.1 and A.2), or between the parts of an emoji (UTS #51, 2.3);
and the variation selectors that make an emoji of a symbol, or text. They are taken there, and nowhere else. Whether
they change anything there is up to the font, so of two names that are the same without them (`as_seen`) the second is
taken for the first; so is it where they differ only in which hyphen it is, or in a wide space for two plain ones. The
flags of England, Scotland and Wales are spelled in tags, and so are refused.

What an entry is called that is there already is never refused: it must be found, and may keep its name. Other rooms
refuse control characters only (`kept.wire.Name`): a memory's key is written by programs and looked up, not picked.
Refuses to tell letters of different scripts apart that look alike (UTS #39).
"""

from __future__ import annotations

import unicodedata
from itertools import chain

from kept.wire.errors import InvalidParams

_NOT_JOINED, _JOINED, _KEYCAP = "\u200c", "\u200d", "\u20e3"
_AS_TEXT, _AS_EMOJI = "\ufe0e", "\ufe0f"
_SPACES = " \u3000"
_KEYS = tuple("0123456789#*")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_ARROWS = range(0x2190, 0x2200)
_SIGNS = "\u00a9\u00ae"
_FIRST_EMOJI = 0x2000
"""But for two signs, no symbol before it has an emoji's form."""

_VIRAMA = 9
"""The canonical combining class of what takes a consonant's vowel away."""

_HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
_BLANK = frozenset(
    map(
        chr,
        chain(
            (0x034F, 0x2065, 0x2800, 0x3164, 0xFFA0),
            range(0x115F, 0x1161),
            range(0x17B4, 0x17B6),
            range(0x180B, 0x1810),
            range(0xFE00, 0xFE10),
            range(0xFFF0, 0xFFF9),
            (0x13441, 0x13442, 0x16FE4, 0x1D159),
            range(0xE0000, 0xE1000),
        ),
    )
)
"""Letters, marks, selectors and code points without a character that show nothing."""

_AS_SEEN = str.maketrans(
    {
        **dict.fromkeys((_NOT_JOINED, _JOINED, _AS_TEXT, _AS_EMOJI)),
        **dict.fromkeys("\u2010\u2011", "-"),
        "\u0f0c": "\u0f0b",
        "\u3000": "  ",
    }
)


def check(name: str) -> None:
    """Raise `InvalidParams` where no new entry may have this name; it says what is wrong, and nothing of the name."""
    if name != name.strip():
        raise _refused("name begins or ends with white space")
    for at in range(len(name)):
        if not _shows(name, at):
            raise _refused(f"name: its character {at + 1} shows nothing, or looks like a plain space")


def cleaned(name: str) -> str:
    """The same without what `check` refuses; empty where nothing is left."""
    while True:
        kept = "".join(name[at] if _shows(name, at) else " " * name[at].isspace() for at in range(len(name))).strip()
        if kept == name:
            return kept
        # A selector or a joiner belonged to what has just gone.
        name = kept


def as_seen(name: str) -> str:
    """The same for all names that may look alike, whatever is in them that may not show."""
    if name.isascii():
        return name
    # Letters that had a joiner between them may be one then.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).translate(_AS_SEEN))


def _refused(message: str) -> InvalidParams:
    return InvalidParams(message, hint="Leave it out, so that no name looks like another one in a list.", field="name")


def _shows(name: str, at: int) -> bool:
    """Whether a character shows, or is part of how its neighbours do."""
    letter = name[at]
    if letter.isascii():
        return letter.isprintable()
    before, behind = name[at - 1 : at], name[at + 1 : at + 2]
    if letter == _NOT_JOINED:
        return _is_virama(before) or (_joins(_letter_before(name, at)) and _joins(behind))
    if letter == _JOINED:
        return _is_virama(before) or ((before == _AS_EMOJI or _is_symbol(before)) and _is_symbol(behind))
    if letter in (_AS_TEXT, _AS_EMOJI):
        return _is_symbol(before) or (before in _KEYS and behind == _KEYCAP)
    if letter.isspace():
        return letter in _SPACES
    return unicodedata.category(letter) not in _HIDDEN and letter not in _BLANK


def _is_virama(letter: str) -> bool:
    return letter != "" and unicodedata.combining(letter) == _VIRAMA


def _letter_before(name: str, at: int) -> str:
    """The letter to which the marks before a place belong; empty for none."""
    while at and unicodedata.combining(name[at - 1]):
        at -= 1
    return name[at - 1 : at]


def _joins(letter: str) -> bool:
    """Whether it is a letter of the Arabic, Syriac or Thaana kind."""
    return letter != "" and unicodedata.bidirectional(letter) == "AL"


def _is_symbol(letter: str) -> bool:
    """Whether it may be an emoji, or its skin."""
    if letter == "":
        return False
    code = ord(letter)
    if code in _SKIN_TONES or code in _ARROWS or letter in _SIGNS:
        return True
    return code >= _FIRST_EMOJI and unicodedata.category(letter) == "So" and letter not in _BLANK
