"""A secret comes from a descriptor, or from a program that asks; a terminal has tests of its own."""

from __future__ import annotations

import os
import pty
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kept.cli.secret_input import SECRET_BYTES, askpass, from_descriptor, from_program, secret
from kept.cli.surface import Asked, UsageError

CANARY = b"canary-Zx81Qm47Lp"
QUESTION = Asked("Password: ", "--password-fd", "the ways")


@contextmanager
def holding(content: bytes, tmp_path: Path) -> Iterator[int]:
    """A descriptor of a file with this content."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    yield os.open(file, os.O_RDONLY)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"one", "one"),
        (b"one\n", "one"),
        (b"one\n\n", "one\n"),
        (b"two\nlines\r\n", "two\nlines\r"),
        ("ü".encode(), "ü"),
        (b"", ""),
    ],
)
def test_a_descriptor_is_read_to_its_end_without_one_line_feed_and_closed(
    tmp_path: Path, content: bytes, text: str
) -> None:
    with holding(content, tmp_path) as descriptor:
        assert secret(QUESTION._replace(descriptor=descriptor), {}) == text
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"one\n", "one"),
        (b"one", "one"),
        (b"", ""),
        (b"\n", ""),
        (b"two\nlines\n", "two\nlines\n"),
        (b"a\n\n", "a\n\n"),
    ],
)
def test_several_lines_of_a_value_are_kept_to_the_byte(tmp_path: Path, content: bytes, text: str) -> None:
    with holding(content, tmp_path) as descriptor:
        assert secret(QUESTION._replace(descriptor=descriptor, is_file=True), {}) == text


def test_a_descriptor_that_waits_and_gives_a_little_at_a_time_is_read_whole() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    child = os.fork()
    if not child:
        for letter in CANARY:
            os.write(writing, bytes([letter]))
        os._exit(0)
    os.close(writing)
    assert from_descriptor(reading) == CANARY
    os.waitpid(child, 0)


def test_the_largest_value_is_taken_and_a_byte_more_is_not(tmp_path: Path) -> None:
    with holding(b"x" * (SECRET_BYTES - 1) + b"\n", tmp_path) as descriptor:
        assert len(from_descriptor(descriptor)) == SECRET_BYTES - 1
    with holding(b"x" * (SECRET_BYTES + 1), tmp_path) as descriptor, pytest.raises(UsageError, match="longer than"):
        from_descriptor(descriptor)


def test_a_terminal_is_no_descriptor_to_read_from() -> None:
    ours, theirs = pty.openpty()
    with pytest.raises(UsageError, match="is a terminal"):
        from_descriptor(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_descriptor_that_is_not_there_is_told(tmp_path: Path) -> None:
    for descriptor in (987, os.open(tmp_path, os.O_RDONLY)):
        with pytest.raises(UsageError, match=f"descriptor {descriptor} can't be read"):
            from_descriptor(descriptor)


def test_what_is_no_text_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    with holding(CANARY + b"\xff", tmp_path) as descriptor, pytest.raises(UsageError) as refused:
        secret(QUESTION._replace(descriptor=descriptor), {})
    assert "UTF-8" in refused.value.message
    assert CANARY.decode() not in repr(refused.value.__dict__)


@pytest.mark.parametrize(
    ("environ", "program", "rather"),
    [
        ({}, "", False),
        ({"KEPT_ASKPASS": "k"}, "k", False),
        ({"SSH_ASKPASS": "s"}, "", False),
        ({"SSH_ASKPASS": "s", "DISPLAY": ":0"}, "s", False),
        ({"SSH_ASKPASS": "s", "WAYLAND_DISPLAY": "w"}, "s", False),
        ({"SSH_ASKPASS": "s", "KEPT_ASKPASS": "k", "DISPLAY": ":0"}, "k", False),
        ({"SSH_ASKPASS": "s", "SSH_ASKPASS_REQUIRE": "force"}, "s", True),
        ({"SSH_ASKPASS": "s", "SSH_ASKPASS_REQUIRE": "prefer"}, "", True),
        ({"SSH_ASKPASS": "s", "SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, "s", True),
        ({"KEPT_ASKPASS": "k", "SSH_ASKPASS_REQUIRE": "PREFER"}, "k", True),
        ({"KEPT_ASKPASS": "k", "SSH_ASKPASS": "s", "DISPLAY": ":0", "SSH_ASKPASS_REQUIRE": "never"}, "", False),
    ],
)
def test_the_program_that_asks_is_chosen_as_ssh_chooses_it(environ: dict[str, str], program: str, rather: bool) -> None:
    assert askpass(environ) == (program, rather)


def program(tmp_path: Path, script: str) -> str:
    """A program that asks."""
    file = tmp_path / "ask $me"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    return str(file)


def test_a_program_gets_the_prompt_as_its_argument_and_says_a_line(tmp_path: Path) -> None:
    asks = program(tmp_path, 'printf "%s|%s\\n" "$#" "$1"; echo more')
    assert from_program(asks, "the `prompt` $HOME", os.environ) == b"1|the `prompt` $HOME"
    assert from_program(program(tmp_path, 'printf "no end"'), "", os.environ) == b"no end"
    assert from_program(program(tmp_path, 'printf "dos\\r\\n"'), "", os.environ) == b"dos"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo secret; exit 1", "was cancelled"),
        ("yes | head -c 100000", "gave no answer"),
        ("kill -9 $$", "was cancelled"),
    ],
)
def test_a_program_that_gives_no_answer_is_a_usage_error(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        from_program(program(tmp_path, script), "", os.environ)


def test_a_program_that_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kept.cli.secret_input.ASKPASS_SECONDS", 0.05)
    with pytest.raises(UsageError, match="gave no answer"):
        from_program(program(tmp_path, "exec sleep 1000"), "", os.environ)
    with pytest.raises(UsageError, match="gave no answer"):
        from_program(program(tmp_path, "exec sleep 1000 >&-"), "", os.environ)


@pytest.mark.parametrize("said", ["echo answer", "printf answer"])
def test_what_a_program_leaves_behind_is_not_waited_for(tmp_path: Path, said: str) -> None:
    asks = program(tmp_path, f"sleep 1000 & echo $! >'{tmp_path}/left'; {said}")
    try:
        assert from_program(asks, "", os.environ) == b"answer"
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


def test_a_program_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be started: No such file"):
        from_program(str(tmp_path / "nothing"), "", os.environ)


def test_what_cant_be_taken_is_not_asked_for_a_second_time(tmp_path: Path) -> None:
    def refuse(text: str) -> None:
        raise UsageError(f"{len(text)} are too few")

    asks = program(tmp_path, f"echo x >>'{tmp_path}/asked'; echo four")
    environ = {**os.environ, "SSH_ASKPASS_REQUIRE": "force", "KEPT_ASKPASS": asks}
    with pytest.raises(UsageError, match="4 are too few"):
        secret(QUESTION._replace(is_new=True, check=refuse), environ)
    assert (tmp_path / "asked").read_text() == "x\n"


@pytest.mark.parametrize("is_new", [False, True])
def test_nothing_is_no_answer_of_a_person_but_may_stand_in_a_descriptor(tmp_path: Path, is_new: bool) -> None:
    environ = {**os.environ, "SSH_ASKPASS_REQUIRE": "force", "KEPT_ASKPASS": program(tmp_path, "echo")}
    question = QUESTION._replace(is_new=is_new, empty="--value-fd N gives it")
    with pytest.raises(UsageError, match="nothing was typed") as refused:
        secret(question, environ)
    assert refused.value.hint == "--value-fd N gives it"
    with holding(b"\n", tmp_path) as descriptor:
        assert secret(question._replace(descriptor=descriptor), environ) == ""


@pytest.mark.parametrize("content", [b"a password\r\n", b"two\nlines\n", b"with\0nul", b"with\ttab", b"with\x7fdelete"])
def test_a_new_password_that_nobody_could_type_is_refused_but_an_old_one_is_not(tmp_path: Path, content: bytes) -> None:
    with holding(content, tmp_path) as descriptor, pytest.raises(UsageError, match="nobody can type") as refused:
        secret(QUESTION._replace(descriptor=descriptor, is_new=True), {})
    assert content.decode().strip() not in str(refused.value)
    with holding(content, tmp_path) as descriptor:
        assert secret(QUESTION._replace(descriptor=descriptor), {}) == content.decode().removesuffix("\n")


def test_a_new_password_is_asked_for_twice(tmp_path: Path) -> None:
    environ = {**os.environ, "SSH_ASKPASS_REQUIRE": "force", "KEPT_ASKPASS": program(tmp_path, "echo same")}
    assert secret(QUESTION._replace(is_new=True), environ) == "same"
    environ["KEPT_ASKPASS"] = program(tmp_path, 'echo "$1"')
    with pytest.raises(UsageError, match="not the same"):
        secret(QUESTION._replace(is_new=True), environ)
