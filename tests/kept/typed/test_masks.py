"""Secrets on command lines, by their place: a corpus that must be masked, one that must stay, and laws for any text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kept.typed import MASK, mask, masked, read
from kept.typed.masks import LONGEST

HERE = Path(__file__).parent


def corpus(name: str) -> list[str]:
    """The lines of a file; `␤` stands for a line break."""
    return [line.replace("␤", "\n") for line in (HERE / name).read_text("utf-8").splitlines()]


HOSTILE = corpus("hostile.txt")
HARMLESS = corpus("harmless.txt")


def shown_secrets(marked: str) -> list[str]:
    """Which of the secrets that stand in «» a log would show."""
    secrets = re.findall("«(.+?)(?:»|$)", marked, re.DOTALL)
    kept = mask(re.sub("[«»]", "", marked)).replace(MASK, "\n")
    return [each for each in secrets if re.search(rf"(?<![A-Za-z]){re.escape(each)}(?![A-Za-z])", kept)]


def test_every_secret_of_the_corpus_is_masked_and_no_harmless_line_is() -> None:
    assert len(HOSTILE) >= 300
    assert len(HARMLESS) >= 150
    missed = [line for line in HOSTILE if shown_secrets(line)]
    unmasked = [line for line in HOSTILE if "«" in line and MASK not in mask(re.sub("[«»]", "", line))]
    false = [(line, mask(line)) for line in HARMLESS if mask(line) != line]
    told = f"recall {1 - len(missed) / len(HOSTILE):.1%} of {len(HOSTILE)}, false masks {len(false)} of {len(HARMLESS)}"
    assert (missed, unmasked, false) == ([], [], []), told


def is_kept_but_for_masks(text: str, result: str) -> bool:
    """Whether `result` is `text` with pieces replaced."""
    pieces = result.split(MASK)
    if len(pieces) == 1:
        return result == text
    at = len(pieces[0])
    if not (text.startswith(pieces[0]) and text.endswith(pieces[-1])):
        return False
    for piece in pieces[1:-1]:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return at <= len(text) - len(pieces[-1])


PIECES = st.sampled_from(
    [
        *(
            " ",
            "\n",
            "'",
            '"',
            "\\",
            "`",
            "$(",
            ")",
            "(",
            "{",
            "}",
            ";",
            "|",
            "&&",
            "<<EOF\n",
            "EOF\n",
            "<<<",
            "<(",
            "#",
        ),
        *("$'", "${", "$x", "=", "+=", "@", ":", "://", "-p", "--password", "TOKEN", "sudo -S", "mysql", "curl -u a:"),
        *("echo ", "bash -c ", "[redacted]", "é", "\x1c", "\xa0", "x", ">", "&", "((", "))", "bearer ", "password '"),
    ]
)
LINES = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=25).map("".join),
    st.tuples(st.sampled_from(HOSTILE), st.lists(PIECES, max_size=6).map("".join), st.integers(0, 80)).map(
        lambda each: each[0][: each[2]] + each[1] + each[0][each[2] :]
    ),
)


@given(LINES)
@example("a\\")
@example("echo [redacted]x | sudo -S ls")
@example("`\x85(")
def test_any_text_is_read_and_a_second_mask_changes_nothing(text: str) -> None:
    once = mask(text)
    assert mask(once) == once
    assert is_kept_but_for_masks(text, once)


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map("Zq7".__add__)


@given(WORDS)
def test_whatever_stands_where_a_password_stands_is_masked_however_it_is_quoted(secret: str) -> None:
    single = "'" + secret.replace("'", "'\\''") + "'"
    double = '"' + re.sub(r"([\"$`\\])", r"\\\1", secret) + '"'
    bare = re.sub(r"([^\w])", r"\\\1", secret)
    for quoted in (single, double, bare):
        for line in (
            f"mysql -p{quoted} db",
            f"app --password {quoted} --x",
            f"app --password={quoted}",
            f"TOKEN={quoted} make",
            f"curl -u me:{quoted} x",
            f"echo {quoted} | sudo -S ls",
            f"x=$(app --token {quoted})",
            f"pass insert x <<< {quoted}",
        ):
            assert "Zq7" not in mask(line), line


def test_what_is_not_closed_is_masked_to_the_end() -> None:
    assert mask("git commit -m 'fix it; rm x") == f"git commit -m {MASK}"
    assert mask('ls; echo "$(cat x') == f"ls; echo {MASK}"
    assert mask("cat <<EOF\nnever closed\n") == f"cat <<EOF\n{MASK}"
    assert mask("x $(" * 40) == f"x {MASK}"


def test_what_is_too_long_and_what_is_cut_off_is_masked_to_the_end() -> None:
    long = mask("a " * LONGEST)
    assert long.endswith(MASK)
    assert len(long) <= LONGEST + len(MASK)
    assert mask("true; echo hunter2", cut=True) == f"true; echo {MASK}"
    assert mask("https://me:hunt", cut=True) == MASK


@pytest.mark.parametrize(
    "unit", ["a=", "$(", "'", '"', "`", "${", "<<a\n", "|a", "mysql ", "a://", "password=", "\\'", "x|sudo -S "]
)
def test_the_work_grows_with_the_length_alone(unit: str) -> None:
    """Counted in steps of the interpreter, not in seconds."""
    assert steps(unit * (4000 // len(unit))) < 3 * steps(unit * (2000 // len(unit))) + 2000


def steps(text: str) -> int:
    import sys

    count = 0

    def counts(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counts)
    try:
        mask(text)
    finally:
        sys.setprofile(before)
    return count


def test_what_leaves_the_shells_side_is_masked_and_in_the_same_form() -> None:
    told = "0\n12\n/a\nmysql -phunter2 db\x1e1\n\n/b\nmake\x1enonsense\x1e"
    sent = masked(told)
    assert sent == f"0\n12\n/a\nmysql -p{MASK} db\x1e1\n\n/b\nmake\x1e"
    assert list(read(sent)) == list(read(told))
