"""The recovery code: 256 random bits as 24 words of BIP39's English list, to be printed and typed again.

Owns how such a code is made, spoken and read; what it opens is `keys`'s. It is a key already, so that no slow
derivation protects it: whoever has the words has the vault. The words carry 8 bits of SHA-256 as a checksum (BIP39,
"Generating the mnemonic"), so that a slip of the pen is told from the code of another vault 255 times in 256.

The words and what is between them and the bits are strings, which Python can't wipe; only the bits come as a
`bytearray`.
"""

from __future__ import annotations

import re
import secrets
from difflib import get_close_matches
from unicodedata import normalize

from mnemonic import Mnemonic

from kept.wire.errors import InvalidParams

WORDS = 24
KEY_BYTES = 32

_BIP39 = Mnemonic("english")
_KNOWN = frozenset(_BIP39.wordlist)
_WORD = re.compile(r"[^\W\d_]+")
"""Letters: numbers of lines, points, commas and whatever space there is only stand between them."""

_AGAIN = "Nothing was changed. Compare it with what was printed: 24 words, in their order."


def make() -> tuple[str, bytearray]:
    """A new code: its words with a space between them, and the 32 bytes that they say, for the caller to wipe."""
    key = bytearray(secrets.token_bytes(KEY_BYTES))
    return words_of(key), key


def words_of(key: bytearray) -> str:
    """32 bytes as 24 words."""
    return _BIP39.to_mnemonic(bytes(key))


def read(words: str) -> bytearray:
    """The 32 bytes of a code, for the caller to wipe.

    Capitals, line breaks and numbers before the words ("1. abandon"), and other forms of the same letters (NFKD) make
    no difference. Raises `InvalidParams`, which tells the place of a word that is not in the list and the word that is
    nearest to it, and otherwise nothing of what was sent.
    """
    found = _WORD.findall(normalize("NFKD", words).lower())
    for place, word in enumerate(found, 1):
        if word not in _KNOWN:
            raise _refusal(f"word {place} is not one of the code's 2,048 words{_meant(word)}")
    if len(found) != WORDS:
        raise _refusal(f"a recovery code has {WORDS} words, and here are {len(found)}")
    try:
        return _BIP39.to_entropy(found)
    except ValueError:
        raise _refusal("the checksum doesn't fit: a word is wrong, or two have changed places") from None


def _meant(word: str) -> str:
    near = get_close_matches(word, _BIP39.wordlist, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _refusal(why: str) -> InvalidParams:
    return InvalidParams(f"code: {why}", hint=_AGAIN, field="code")
