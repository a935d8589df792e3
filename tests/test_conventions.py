"""What every file of the project has in common: sizes, names, documentation, and errors that tests have seen raised."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kept.wire import Call
from kept.wire.catalog import calls
from kept.wire.errors import KeptError
from keptd.rpc.reference import page

from .sources import ROOT, modules

MOST_LINES = 500
MEDIAN_LINES = 150
"""About 100 is what a reader takes in at once; a median above this says that files have stopped being split."""

BANNED_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)$")
BANNED_CLASSES = re.compile(r"(Utils?|Helpers?|Managers?)$")

MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(work|root|home|Users|mnt|opt|srv)/\w+")
PROSE = ("*.md", "*.toml", "Makefile", ".ci/*", "systemd/**/*", "client/**/*.md", "docs/**/*")
"""The files that people read first, as patterns from the root."""


def everything() -> list[Path]:
    """Every Python file of the project, tests and benchmarks included."""
    return sorted([module.path for module in modules().values()] + list((ROOT / "tests").rglob("*.py")))


def prose() -> list[Path]:
    return sorted({path for pattern in PROSE for path in ROOT.glob(pattern) if path.is_file()})


def test_no_file_is_too_long_to_read() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in everything() if (lines := _lines(path)) > MOST_LINES}
    assert not long, f"over {MOST_LINES} lines: {long}; split them by subject"


def test_half_of_the_files_are_short(record_property: Callable[[str, object], None]) -> None:
    median = statistics.median(_lines(module.path) for module in modules().values())
    record_property("median lines", median)
    assert median <= MEDIAN_LINES


def test_nothing_is_named_for_having_no_subject() -> None:
    files = [str(path.relative_to(ROOT)) for path in everything() if BANNED_NAMES.search(path.stem)]
    classes = [
        module.place(node.lineno)
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and BANNED_CLASSES.search(node.name)
    ]
    assert not files + classes, "a module or class is named for what is in it"


def test_every_module_says_what_it_owns() -> None:
    silent = [module.name for module in modules().values() if not ast.get_docstring(module.tree)]
    assert not silent, "a module's docstring says what it owns and what it refuses"


def test_the_reference_names_every_method() -> None:
    reference = (ROOT / "client" / "API.md").read_text(encoding="utf-8")
    missing = [name for name in calls() if f"\n## {name}\n" not in reference]
    assert not missing, "run `make api`"


def test_the_reference_is_what_the_calls_say() -> None:
    assert (ROOT / "client" / "API.md").read_text(encoding="utf-8") == page(), "run `make api`"


def test_what_people_read_first_holds_no_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in prose()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := MACHINE_PATH.search(line))
    ]
    assert not found, "it would be wrong on every other machine:\n" + "\n".join(found)


def test_the_repository_holds_nothing_that_was_made_from_it() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    made = [name for name in listed.stdout.split() if re.search(r"__pycache__|\.pyc$|\.db(-wal|-shm)?$|\.venv/", name)]
    assert not made


class Scene(NamedTuple):
    """A place in a test where errors are expected: the words that tell which, and the words that tell what was sent."""

    expected: frozenset[str]
    sent: frozenset[str]

    def shows(self, call: type[Call[Any]], error: type[KeptError]) -> bool:
        """Whether this call is sent, as a class or by its method's name, and this error expected, as a class, a code or
        a type."""
        return bool({call.__name__, call.method} & self.sent) and bool(
            {error.__name__, error.type, str(abs(error.code))} & self.expected
        )


@cache
def scenes() -> tuple[Scene, ...]:
    """Every place of the suite where an error is expected."""
    return tuple(
        scene
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        for scene in _scenes_of(node)
    )


def _scenes_of(test: ast.AST) -> Iterator[Scene]:
    """A block under `pytest.raises(E)`, a comparison, and a call of a function that checks a reply, are each a scene.
    What is sent is named in it, or, where it was put together before, in the rest of the test."""
    whole = _words(test)
    calls_named = frozenset(name for call in calls().values() for name in (call.__name__, call.method))
    for node in ast.walk(test):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            expected = frozenset[str]().union(*(_words(item.context_expr) for item in node.items))
            inside = frozenset[str]().union(*map(_words, node.body))
        elif isinstance(node, ast.Compare) or (
            isinstance(node, ast.Call) and not ast.unparse(node.func).startswith("pytest.")
        ):
            expected = inside = _words(node)
        else:
            continue
        yield Scene(expected, inside if inside & calls_named else whole)


def _words(node: ast.AST) -> frozenset[str]:
    """The names and strings in it."""
    return frozenset(
        inner.id
        if isinstance(inner, ast.Name)
        else inner.attr
        if isinstance(inner, ast.Attribute)
        else str(inner.value)
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Name, ast.Attribute, ast.Constant))
    )


@pytest.mark.parametrize("method", calls())
def test_each_error_that_a_call_declares_is_raised_in_some_test(method: str) -> None:
    call = calls()[method]
    unseen = [error.__name__ for error in call.errors if not any(scene.shows(call, error) for scene in scenes())]
    assert not unseen, f"no test sends {method} ({call.__name__}) and expects {', '.join(unseen)}"


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
