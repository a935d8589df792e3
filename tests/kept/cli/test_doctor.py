"""How `kept doctor` tells what was found, and where it runs."""

from __future__ import annotations

import ast
import json
import re

import msgspec
import pytest
from rich.cells import cell_len

from kept.checkup import Examination
from kept.cli.registry import everything
from kept.faults import NoReply
from kept.wire.errors import StorageFailed
from kept.wire.maintenance import CheckDatabase, Checkup, Finding
from tests.kept.thin import Run, Start, result
from tests.sources import under

from .test_local import Played
from .typing_at import Recorder, type_in

OK = Finding(what="folders", verdict="ok", detail="/home/me/kept is there")
WARNING = Finding(what="slack", verdict="warning", detail="much is free " * 8, next_step="kept maintenance optimize.")
PROBLEM = Finding(
    what="database", verdict="problem", detail="\x1b[2Jit is\n" + "gone " * 30, next_step="Keep " + "/a" * 50 + "."
)
LATER = Finding(what="new", verdict="grave", detail="of a later daemon", next_step="Look.")


def played(*findings: Finding, checkup: Checkup | None = None) -> Played:
    here = Played()
    here.seen = Examination(findings=findings, checkup=checkup)
    return here


def checkup(*findings: Finding) -> Checkup:
    return Checkup(verdict="ok", findings=findings, recoveries=())


@pytest.mark.parametrize(
    ("findings", "code", "summary"),
    [
        ((OK, OK), 0, "All is well: 2 things were looked at."),
        ((WARNING, OK, LATER), 0, "It works, with 2 warnings. What stands behind -> is the next step."),
        (
            (PROBLEM, WARNING, OK),
            1,
            "1 problem and 1 warning. What stands behind -> is the next step, and destroys nothing.",
        ),
        ((PROBLEM, PROBLEM), 1, "2 problems. What stands behind -> is the next step, and destroys nothing."),
    ],
)
def test_the_last_sentence_sums_it_up_and_a_problem_gives_exit_code_1(
    findings: tuple[Finding, ...], code: int, summary: str
) -> None:
    printed = type_in("doctor", Recorder(), here=played(*findings), columns=100)
    assert (printed.code, printed.out.splitlines()[-1], printed.err) == (code, summary, "")


def test_problems_come_last_above_the_summary() -> None:
    out = type_in("doctor", Recorder(), here=played(PROBLEM, OK, WARNING), columns=80).out
    heads = [line.split()[0] for line in out.splitlines() if line and not line.startswith(" ")]
    assert heads[:3] == ["ok", "warning", "PROBLEM"]


@pytest.mark.parametrize("columns", [30, 40, 59, 60, 80, 10_000])
def test_every_line_fits_and_is_harmless_but_what_people_copy_is_never_cut(columns: int) -> None:
    out = type_in("doctor", Recorder(), here=played(PROBLEM, OK, WARNING), columns=columns).out
    assert "\x1b" not in out
    assert "/a" * 50 in out
    lines = [line for line in out.splitlines() if "/a/a" not in line]
    assert max(map(cell_len, lines)) <= min(columns, 100)


def test_colour_marks_the_verdict_alone() -> None:
    out = type_in("doctor", Recorder(), here=played(PROBLEM), colour=True).out
    assert out.startswith("\x1b[31;1mPROBLEM  \x1b[0mdatabase")
    assert out.count("\x1b") == 2


def test_programs_get_one_document_with_the_worst_verdict() -> None:
    printed = type_in("doctor --json", Recorder(), here=played(OK, checkup=checkup(PROBLEM)), terminal=False)
    told = json.loads(printed.out)
    assert (printed.code, told["verdict"]) == (1, "problem")
    assert told["findings"] == [msgspec.to_builtins(OK), msgspec.to_builtins(PROBLEM)]


def test_the_full_check_takes_the_place_of_the_quick_one() -> None:
    recorder = Recorder({CheckDatabase: checkup(PROBLEM)})
    here = played(OK, checkup=checkup(WARNING))
    told = json.loads(type_in("doctor --full --json", recorder, here=here).out)
    assert recorder.calls == [CheckDatabase()]
    assert [finding["what"] for finding in told["findings"]] == ["folders", "database"]


@pytest.mark.parametrize("fault", [StorageFailed("the disk failed"), NoReply("too late")])
def test_a_full_check_that_fails_is_a_finding_beside_the_others(fault: Exception) -> None:
    recorder = Recorder({CheckDatabase: fault})
    told = json.loads(type_in("doctor --full --json", recorder, here=played(checkup=checkup(OK))).out)
    assert [finding["what"] for finding in told["findings"]] == ["folders", "full check"]
    assert told["verdict"] == "problem"


def test_the_daemon_never_examines_itself() -> None:
    recorder = Recorder()
    assert type_in("doctor", recorder).local
    assert recorder.calls == []


def test_it_starts_no_daemon_and_stands_beside_status_in_help() -> None:
    words = list(everything())
    assert words.index(("doctor",)) == words.index(("status",)) + 1
    assert not everything()["doctor",].starts


@pytest.mark.parametrize("words", ["doctor", "--json doctor --full", "--socket /x doctor", "--socket=/x doctor"])
def test_the_script_asks_no_daemon_that_might_hang(start: Start, run: Run, words: str) -> None:
    server = start(result())
    done = run(*words.split())
    assert (done.returncode, done.stdout.decode().split()[0]) == (7, "local")
    assert server.received == []


def test_other_words_go_to_the_daemon_as_ever(start: Start, run: Run) -> None:
    server = start(result(out="found\n"))
    assert run("recall", "doctor").stdout == b"found\n"
    assert len(server.received) == 1


DESTROYS = re.compile(r"\brm -|\b(remove|delete) (it|them|the (file|database|folder|log|quarantine))\b", re.IGNORECASE)


def test_no_hint_around_damage_and_backups_tells_anybody_to_destroy_something() -> None:
    told = [
        (module.place(node.lineno), node.value)
        for name in ("keptd.recovery", "keptd.backups", "keptd.maintenance", "keptd.home", "kept.checkup", "kept.trust")
        for module in under(name)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "never delete it" not in node.value
    ]
    assert len(told) > 200
    assert [place for place, text in told if DESTROYS.search(text)] == []
