"""A recovery code says the same bits, however it was copied; a slip is told by its place and nothing else is told."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from kept.wire.errors import InvalidParams
from keptd.vault.recovery_code import make, read, words_of

LIST = Mnemonic("english").wordlist

VECTORS = (
    ("00" * 32, "abandon " * 23 + "art"),
    (
        "7f" * 32,
        "legal winner thank year wave sausage worth useful " * 2 + "legal winner thank year wave sausage worth title",
    ),
    (
        "80" * 32,
        "letter advice cage absurd amount doctor acoustic avoid " * 2
        + "letter advice cage absurd amount doctor acoustic bless",
    ),
    ("ff" * 32, "zoo " * 23 + "vote"),
    (
        "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
        (
            "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis "
            "maple dilemma loan word shrug inflict delay length"
        ),
    ),
    (
        "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
        (
            "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich alcohol speed nation "
            "flash devote level hobby quick inner drive ghost inside"
        ),
    ),
    (
        "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
        (
            "all hour make first leader extend hole alien behind guard gospel lava path output census museum junior "
            "mass reopen famous sing advance salt reform"
        ),
    ),
    (
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        (
            "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol "
            "group space point ten exist slush involve unfold"
        ),
    ),
)
"""All of 256 bits from BIP39's "Test vectors" (github.com/trezor/python-mnemonic, vectors.json, english)."""


def refused(words: str) -> InvalidParams:
    with pytest.raises(InvalidParams) as refusal:
        read(words)
    assert refusal.value.data == {"field": "code"}
    return refusal.value


@pytest.mark.parametrize(("bits", "words"), VECTORS)
def test_the_public_vectors_are_said_and_read(bits: str, words: str) -> None:
    assert words_of(bytearray.fromhex(bits)) == words
    assert read(words) == bytearray.fromhex(bits)


def test_the_list_is_the_one_of_bip39() -> None:
    # SHA-256 of english.txt in github.com/bitcoin/bips, with its line ends.
    text = "".join(f"{word}\n" for word in LIST)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )


def test_a_new_code_has_24_words_and_says_its_key() -> None:
    words, key = make()
    assert len(words.split()) == 24
    assert len(key) == 32
    assert read(words) == key
    assert make()[1] != key


@given(
    key=st.binary(min_size=32, max_size=32),
    capitals=st.lists(st.booleans(), min_size=24, max_size=24),
    between=st.lists(
        st.sampled_from([" ", "\n", "  ", "\t", ", ", "\r\n", "\u3000", "\u00a0"]), min_size=24, max_size=24
    ),
    numbered=st.sampled_from(["", "{}. ", "{}) ", "{}.", "{:02} ", "{}: "]),
)
def test_however_it_was_copied_it_says_the_same(
    key: bytes, capitals: list[bool], between: list[str], numbered: str
) -> None:
    words = words_of(bytearray(key)).split()
    text = "".join(
        numbered.format(place) + (word.upper() if capital else word) + space
        for place, (word, capital, space) in enumerate(zip(words, capitals, between, strict=True), 1)
    )
    assert read(f" {text}") == key


def test_letters_in_another_form_of_unicode_are_the_same_letters() -> None:
    bits, words = VECTORS[4]
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in words)
    assert read(wide) == bytearray.fromhex(bits)


def test_a_wrong_word_is_told_by_its_place_and_the_nearest_word() -> None:
    words = VECTORS[5][1].split()
    words[7] = "tatse"
    said = refused(" ".join(words)).message
    assert said == "code: word 8 is not one of the code's 2,048 words; did you mean taste?"


def test_what_resembles_no_word_gets_no_proposal() -> None:
    assert refused("qqqqqqqq").message == "code: word 1 is not one of the code's 2,048 words"
    refused("q" * 1024)


@pytest.mark.parametrize("count", [0, 1, 12, 23, 25])
def test_another_number_of_words_is_refused_with_both_numbers(count: int) -> None:
    assert refused("abandon " * count).message == f"code: a recovery code has 24 words, and here are {count}"


def test_two_words_that_changed_places_don_t_pass() -> None:
    words = VECTORS[6][1].split()
    words[3], words[4] = words[4], words[3]
    assert "the checksum doesn't fit" in refused(" ".join(words)).message


@given(
    key=st.binary(min_size=32, max_size=32),
    place=st.integers(0, 23),
    wrong=st.text(st.characters(categories=["Ll"]), min_size=4, max_size=12),
)
def test_a_refusal_never_tells_what_was_sent(key: bytes, place: int, wrong: str) -> None:
    words = words_of(bytearray(key)).split()
    words[place] = f"{wrong}q"
    said = refused(" ".join(words))
    form = re.fullmatch(r"code: word \d+ is not one of the code's 2,048 words(?:; did you mean (\w+)\?)?", said.message)
    assert form
    assert form[1] is None or form[1] in LIST
    assert said.hint == refused("").hint
