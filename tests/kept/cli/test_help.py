"""Help."""

from __future__ import annotations

import re
import shlex

import pytest
from rich.cells import cell_len

from kept.cli.methods import EXAMPLES, reachable
from kept.cli.parse import parse
from kept.cli.registry import domains, everything, find
from kept.cli.surface import Surface

from .test_local import Played
from .typing_at import Recorder, type_in


def test_help_names_every_command_and_every_domain(recorder: Recorder) -> None:
    out = type_in("--help", recorder).out
    first_words = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    shown = {command.words[0] for command in everything().values() if not command.hidden}
    assert shown | set(domains()) <= first_words
    assert type_in("help", recorder).out == out
    assert "complete" not in first_words


def test_every_domain_and_command_has_help_that_fits(recorder: Recorder) -> None:
    topics = ["", *domains(), *(command.name for command in everything().values())]
    for topic in topics:
        for words in (f"{topic} --help", f"help {topic}"):
            printed = type_in(words, recorder, columns=72)
            assert (printed.code, printed.err) == (0, "")
            lines = [line for line in printed.out.splitlines() if not line.startswith(("usage", "  kept", "  git"))]
            assert max(map(cell_len, lines)) <= 72, topic
    assert recorder.calls == []


def test_help_for_a_command_shows_its_arguments_options_ranges_and_defaults(recorder: Recorder) -> None:
    out = type_in("memory set --help", recorder).out
    assert out.startswith("usage: kept memory set KEY VALUE [OPTIONS]\n")
    assert "--priority N" in out
    assert "(1 to 10)" in out
    assert "default global" in out
    assert "Options of every write:" in out
    assert "  kept memory set editor.indent 4\n" in out


@pytest.mark.parametrize("words", ["memory set --help", "remember --help"])
def test_help_tells_how_a_value_stays_out_of_the_list_of_processes(recorder: Recorder, words: str) -> None:
    out = " ".join(type_in(words, recorder).out.split())
    assert "- reads it from standard input, and so keeps it out of the list of processes." in out


@pytest.mark.parametrize(
    "name",
    [
        one.name
        for one in everything().values()
        if any("last" in each.replace("|", " ").split() for each in one.examples)
    ],
)
def test_help_says_what_last_stands_for_wherever_an_example_has_it(recorder: Recorder, name: str) -> None:
    assert "`last`: the one" in " ".join(type_in(f"{name} --help", recorder, columns=200).out.split())


def test_a_required_option_is_in_the_usage_line(recorder: Recorder) -> None:
    assert type_in("decide --help", recorder).out.startswith("usage: kept decide TEXT... --why TEXT [OPTIONS]\n")


def test_a_word_that_is_both_a_command_and_a_domain_has_help_for_both(recorder: Recorder) -> None:
    out = type_in("context --help", recorder).out
    assert "usage: kept context [OPTIONS]" in out
    assert "bundle" in out


@pytest.mark.parametrize("words", ["help nope", "nope --help", "memory nope --help"])
def test_help_for_what_is_not_there_is_a_usage_error(recorder: Recorder, words: str) -> None:
    assert type_in(words, recorder).code == 2


def test_every_example_is_a_command_that_can_be_typed(recorder: Recorder) -> None:
    assert EXAMPLES.keys() <= reachable().keys()
    for command in everything().values():
        for example in command.examples:
            parts = re.split(r" \| |; and ", example.removeprefix('eval "$(').removesuffix(')"'))
            line = next(part.replace(" 2>/dev/null", "") for part in parts if part.startswith("kept "))
            found, rest = find(shlex.split(line)[1:])
            assert found is command, example
            here = Played()
            here.secrets = ["a long secret"] * 2
            parse(command, rest, Surface(str, str, here=here, json=True).reading("text"))


@pytest.mark.parametrize("columns", [40, 59, 80])
def test_help_is_not_wider_than_the_terminal(recorder: Recorder, columns: int) -> None:
    for words in ("--help", "memory --help", "watch --help", "context --help"):
        lines = type_in(words, recorder, columns=columns).out.splitlines()
        # An example stays as it is typed, in one line.
        assert [line for line in lines if len(line) > columns and not line.startswith("  kept ")] == []


def test_the_version_is_told(recorder: Recorder) -> None:
    printed = type_in("--version", recorder)
    assert printed.code == 0
    assert printed.out.startswith("kept ")
