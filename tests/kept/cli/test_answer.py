"""The command line inside the daemon."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from kept.cli import answer
from kept.wire.daemon import CommandResult, RunCommand
from kept.wire.errors import NotFound
from kept.wire.memory import GetMemory, ListMemories, SetMemory

from .test_render import memory
from .typing_at import OverTheWire, Recorder


def ask(call: Recorder | OverTheWire, *argv: str, **how: object) -> CommandResult:
    return answer(RunCommand(argv=argv, **how), call)  # type: ignore[arg-type]


def test_what_a_command_prints_comes_back_with_its_exit_code(
    recorder: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder.answers = {GetMemory: memory(value="here")}
    assert ask(recorder, "memory", "get", "k") == CommandResult(code=0, out="here\n")
    recorder.answers = {GetMemory: NotFound("gone", hint="look")}
    assert ask(recorder, "memory", "get", "k") == CommandResult(code=1, err="kept: gone\nhint: look\n")
    assert ask(recorder, "memory", "get").code == 2
    assert ask(recorder, "--help").code == 0
    assert ask(recorder, "memory", "get", "--help").code == 0
    assert capfd.readouterr() == ("", "")


def test_commands_that_need_the_callers_process_are_left_to_it_at_once(recorder: Recorder) -> None:
    for words in ("watch", "watch memory --json", "event subscribe", "tour .", "daemon start"):
        assert ask(recorder, *words.split()) == CommandResult(code=0, local=True)
    assert recorder.calls == []


def test_help_and_mistakes_need_nobodys_process(recorder: Recorder) -> None:
    assert not ask(recorder, "watch", "--help").local
    assert ask(recorder, "watch", "--nope").code == 2


def test_standard_input_comes_with_the_request(recorder: Recorder) -> None:
    recorder.answers = {SetMemory: memory()}
    assert ask(recorder, "memory", "set", "k", "-", stdin="typed\n").code == 0
    assert recorder.last == SetMemory(key="k", value="typed")


def test_a_width_means_a_terminal_and_none_a_file(recorder: Recorder) -> None:
    recorder.answers = {GetMemory: memory(value="\x1b[31m"), ListMemories: NotFound("x")}
    assert ask(recorder, "memory", "get", "k", columns=80).out == "\ufffd[31m\n"
    assert ask(recorder, "memory", "get", "k").out == "\x1b[31m\n"


def test_many_threads_get_their_own_answers(rooms: OverTheWire) -> None:
    values = {f"key-{number}": f"value {number}" for number in range(16)}
    answers = {key: Recorder({GetMemory: memory(value=value)}) for key, value in values.items()}

    def one(key: str) -> CommandResult:
        ask(answers[key], "memory", "get", key, "--priority", "3")
        return ask(answers[key], "memory", "get", key)

    with ThreadPoolExecutor(8) as pool:
        for key, result in zip(values, pool.map(one, values), strict=True):
            assert result == CommandResult(code=0, out=values[key] + "\n")
            assert answers[key].calls == [GetMemory(key=key)]


def test_reading_a_key_in_the_daemon_loads_nothing_that_draws_streams_or_connects() -> None:
    script = (
        "import sys\n"
        "from kept.cli import answer\n"
        "from kept.wire.daemon import RunCommand\n"
        "from kept.wire.memory import Memory\n"
        "found = Memory(**{**dict.fromkeys(Memory.__struct_fields__), 'value': 'here'})\n"
        "assert answer(RunCommand(argv=('memory', 'get', 'k')), lambda call: found).out == 'here\\n'\n"
        "names = ('rich', 'argparse', 'anyio', 'structlog', 'apsw', 'keptd', 'kept.client', 'subprocess', 'difflib')\n"
        "print(*[name for name in names if name in sys.modules])"
    )
    places = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script], env=places, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
