"""A line in words, as a shell reads it."""

from __future__ import annotations

import pytest

from kept.typed.words import DEPTH, Command, parse


def told(commands: list[Command]) -> list[list[str]]:
    return [[word.text for word in command.words] for command in commands]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\\\n c", [["a", "b", "c"]]),
        ("a\\\nb", [["ab"]]),
        ("'a b'\"c d\"e\\ f", [["a bc de f"]]),
        ("$'a\\'b\\n' x", [["a'b\n", "x"]]),
        ("a;b|c&&d||e&f\ng", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a # b 'c", [["a", "# b 'c"]]),
        ("a#b", [["a#b"]]),
        ("a >x 2>&1 <y b", [["a", "b"]]),
        ("a <<X b\nbody 'x\nX\nc", [["a", "b"], ["c"]]),
        ("a <<-X <<'Y'\n\tX\nb\nY\nc", [["a"], ["c"]]),
        ("A=1 b+=2 c", [["A=1", "b+=2", "c"]]),
        ("A=(x 'y z') b", [["A=", "b"]]),
        ("a $((1 << 2)) ${x} b", [["a", "$((1 << 2))", "${x}", "b"]]),
        ("a\xa0b\x85c", [["a\xa0b\x85c"]]),
        ("", []),
    ],
)
def test_a_line_is_read_in_commands_of_words(line: str, words: list[list[str]]) -> None:
    script = parse(line)
    assert told(script.commands) == words
    assert script.broken is None


@pytest.mark.parametrize(
    ("line", "inner"),
    [
        ("a $(b; c)", [["b"], ["c"]]),
        ('a `b "c"`', [["b", "c"]]),
        ("a \"x $(b 'c d') y\"", [["b", "c d"]]),
        ("a <(b c)", [["b", "c"]]),
        ("a $(b (c) d)", [["b"], ["c"], ["d"]]),
    ],
)
def test_what_is_substituted_is_read_as_commands_of_its_own(line: str, inner: list[list[str]]) -> None:
    (command,) = parse(line).commands
    assert told(command.words[1].nested[0]) == inner


@pytest.mark.parametrize(
    ("line", "at"),
    [
        *[
            ("a 'b", 2),
            ('a "b', 2),
            ("a $'b", 2),
            ("a $(b", 2),
            ("a `b", 2),
            ('a `b "c` d', 2),
            ("a ${b", 2),
            ("a=(b", 2),
        ],
        *[("a <<X\nb", 6), ("a \"$(b 'c", 2), ("`(", 0), ("`\x85(", 0), ("`a=(`", 0)],
        ("$(" * (DEPTH + 1) + ")" * (DEPTH + 1), 0),
    ],
)
def test_what_is_not_closed_is_told_from_where_it_begins(line: str, at: int) -> None:
    assert parse(line).broken == at


def test_a_piece_of_a_word_has_its_place_in_the_line_and_its_quotes_in_pairs() -> None:
    line = "x 'a b'c\"d\""
    word = parse(line).commands[0].words[1]
    assert word.text == "a bcd"
    assert [line[slice(*word.place(*each))] for each in ((0, 5), (0, 3), (1, 3), (3, 4), (2, 4), (4, 5))] == [
        *("'a b'c\"d\"", "'a b'", " b", "c", "'a b'c", '"d"'),
    ]
