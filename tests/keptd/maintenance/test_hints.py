"""What a refusal or a finding tells people to do next never destroys anything, least of all what is damaged."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.sources import Module, under

ROOMS = ("backups", "recovery", "maintenance", "store", "journal", "jobs")
DESTRUCTIVE = re.compile(
    r"\b(rm|delete-all|delete_all|backup delete|trash empty|trash\.empty|truncate|drop|reset|wipe|move it away)\b"
)


def advice(module: Module) -> Iterator[tuple[str, str]]:
    """Every text that is given as a hint or a next step, with its place."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg in ("hint", "next_step"):
            texts = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            yield module.place(node.value.lineno), " ".join(str(text) for text in texts)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("default_hint", "RESTORE", "RECOVER"):
            yield module.place(node.lineno), ast.unparse(node.value)


@pytest.mark.parametrize("room", ROOMS)
def test_no_hint_names_a_destructive_command(room: str) -> None:
    found = [told for module in under(f"keptd.{room}") for told in advice(module)]
    bad = [(place, text) for place, text in found if DESTRUCTIVE.search(text.lower())]
    assert not bad


def test_the_hints_are_found() -> None:
    assert sum(1 for room in ROOMS for module in under(f"keptd.{room}") for _ in advice(module)) > 25
