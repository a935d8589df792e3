"""Markdown on a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from kept.cli.markdown import draw, plain

SGR = re.compile(r"\x1b\[[0-9;]+m")
WORD = re.compile(r"[^\W_]+")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
MARKED = st.lists(
    st.sampled_from(
        [
            *(
                "# ",
                "## h ",
                "- ",
                "12. ",
                "> ",
                ">",
                "```",
                "~~~\n",
                "```py\n",
                "\n",
                "\n\n",
                " ",
                "    ",
                "\t",
                "\r\n",
            ),
            *(
                "*",
                "**",
                "***",
                "_",
                "__",
                "`",
                "``",
                "[",
                "](",
                ")",
                "[a](http://b.c)",
                "---\n",
                "* * *\n",
                "| a | b |",
            ),
            *(
                "word",
                "two words",
                "漢字かな交じり文",
                "e\u0301\u200d",
                "👩\u200d👩\u200d👧",
                "\x1b[31m",
                "\x9b2J",
                "\u202e",
            ),
            *("\\*", "#", "a" * 60, "http://example.org/a/long/way/to/go", "\x1b]0;title\x07", "\x07", "\u2028"),
        ]
    )
    | TEXT,
    max_size=40,
).map("".join)


def drawn(text: str, width: int = 40, colour: bool = True) -> list[str]:
    return list(draw(text, width, colour))


def bare(lines: list[str]) -> list[str]:
    return [SGR.sub("", line) for line in lines]


@given(MARKED, st.integers(10, 120), st.booleans())
@example("**a\x1b[31m**", 20, True)
@example("> " * 50 + "deep", 20, True)
@example(" " * 100 + "far", 20, True)
@example("- " * 30 + "x", 20, True)
def test_every_word_is_there_in_its_order(text: str, width: int, colour: bool) -> None:
    words = "".join(WORD.findall(re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", text)))
    assert "".join(WORD.findall("\n".join(bare(drawn(text, width, colour))))) == words


@given(MARKED, st.integers(10, 120), st.booleans())
def test_nothing_that_a_text_says_reaches_the_terminal_as_a_command(text: str, width: int, colour: bool) -> None:
    for line in drawn(text, width, colour) + list(plain(text)):
        rest = SGR.sub("", line) if colour else line
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", rest)
        if colour:
            styles = SGR.findall(line)
            assert styles[1::2] == ["\x1b[0m"] * (len(styles) // 2)
            assert len(styles) % 2 == 0


@given(MARKED, st.integers(20, 120), st.booleans())
def test_only_a_word_code_or_a_row_of_a_table_is_wider_than_the_terminal(text: str, width: int, colour: bool) -> None:
    fenced = bool(re.search("```|~~~", text))
    for line in bare(drawn(text, width, colour)):
        if cell_len(line) > width and not fenced and not line.lstrip().startswith("|"):
            *lead, word = line.split(" ")
            assert all(re.fullmatch(r"[>│]*|[-*+]|[0-9]{1,9}[.)]", each) for each in lead), (line, word)


@given(MARKED)
def test_without_colour_a_wide_terminal_shows_the_text_as_it_is(text: str) -> None:
    assert "".join(drawn(text, 100_000, colour=False)).replace(" ", "") == "".join(plain(text)).replace(" ", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Title #", ["\x1b[1;4mTitle\x1b[0m"]),
        ("### C#", ["\x1b[1mC#\x1b[0m"]),
        ("a **b** c", ["a \x1b[1mb\x1b[0m c"]),
        ("*a* _b_", ["\x1b[3ma b\x1b[0m"]),
        ("see `x*y`.", ["see \x1b[36mx*y\x1b[0m."]),
        ("**run `x`**", ["\x1b[1mrun\x1b[0m \x1b[1;36mx\x1b[0m"]),
        ("[docs](http://a.b)", ["docs \x1b[2m(http://a.b)\x1b[0m"]),
        ("[http://a.b](http://a.b)", ["http://a.b"]),
        ("---", ["\x1b[2m" + "─" * 40 + "\x1b[0m"]),
        ("| a | *b* |", ["| a | *b* |"]),
        ("```sh\nls *a* # x\n\n```\nend", ["  \x1b[2msh\x1b[0m", "  \x1b[36mls *a* # x\x1b[0m", "", "end"]),
        ("~~~\n```\n~~~", ["  \x1b[36m```\x1b[0m"]),
        ("> said", ["│ said"]),
    ],
)
def test_marks_become_styles(text: str, shown: list[str]) -> None:
    assert drawn(text) == shown


@pytest.mark.parametrize(
    "text", ["2**3 and 4**5", "*.py and *.js", "snake_case_name", "__init__", "a * b * c", "5 > 4", "1.5", "-x", "#tag"]
)
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert drawn(text) == [text]


def test_lines_stay_lines_and_hang_below_their_beginning() -> None:
    assert drawn("one\ntwo\n\nthree") == ["one", "two", "", "three"]
    assert drawn("- a list item that is long\n  1. another one", 16) == [
        "- a list item",
        "  that is long",
        "  1. another one",
    ]
    assert drawn("> quoted text that is long", 16) == ["│ quoted text", "│ that is long"]
    assert drawn("    indented   columns", 60) == ["    indented   columns"]


def test_scripts_without_spaces_are_wrapped() -> None:
    assert drawn("漢字かな交じり文が続く", 10) == ["漢字かな交", "じり文が続", "く"]


def test_a_line_of_code_is_never_cut_or_wrapped() -> None:
    code = "x = " + "1 + " * 60 + "1"
    assert bare(drawn(f"```\n{code}\n```", 20)) == [f"  {code}"]


@pytest.mark.parametrize(
    "unit",
    [
        "*",
        "**a",
        "`",
        "`` ",
        "[",
        "[a](",
        "_a",
        "> ",
        "- ",
        "# ",
        " #",
        "#",
        "~",
        "```",
        " ",
        "|",
        "a ",
        "字",
        "\u200d",
    ],
)
def test_a_long_message_can_be_all_marks(unit: str) -> None:
    """In lines that are just short enough to be styled. What took the square of their length would never end."""
    text = "\n".join([(unit * 19_999)[:19_999]] * 10) + "\nend"
    *_, last = draw(text, 80, colour=True)
    assert SGR.sub("", last).strip() == "end"
