"""The project's own source as data: every module, what it imports and where, and the strings in it that are SQL."""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PACKAGES = {"kept": ROOT / "client", "keptd": ROOT / "daemon"}

_SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT( OR \w+)? INTO|UPDATE\s\w+\sSET|DELETE FROM|WITH RECURSIVE|CREATE (VIRTUAL )?TABLE|"
    r"CREATE (UNIQUE )?INDEX|CREATE TRIGGER|DROP (TABLE|INDEX)|ALTER TABLE|PRAGMA \w+|ORDER BY \w+|SAVEPOINT \w+|"
    r"BEGIN IMMEDIATE|ROLLBACK TO)\b|^(BEGIN|COMMIT|ROLLBACK)$",
    re.DOTALL,
)
_RUNS_SQL = re.compile(r"\b_?(db|connection|inline|reader|writer)\.(execute|executemany|pragma)$")


class Import(NamedTuple):
    """One imported module: its full name, the line, and whether it is loaded with the module that imports it.

    `from a import b` counts as `a.b` where that is a module of the project. An import inside a function is `lazy`, one
    under `if TYPE_CHECKING` is `typing`.
    """

    name: str
    line: int
    lazy: bool
    typing: bool


class Module(NamedTuple):
    """One file of the project, parsed."""

    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    @property
    def package(self) -> str:
        """The package that the module is in, or is."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def place(self, line: int) -> str:
        """Where something is, for a message."""
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache
def modules() -> dict[str, Module]:
    """Every module of `kept` and `keptd`, by its full name."""
    paths = {
        _name(path, folder): path
        for package, folder in PACKAGES.items()
        for path in sorted((folder / package).rglob("*.py"))
    }
    found = {name: _module(name, path, paths) for name, path in paths.items()}
    # Millions of objects that stay: whoever collects or lists what the garbage collector knows would go through them.
    gc.collect()
    gc.freeze()
    return found


def under(prefix: str) -> list[Module]:
    """The module of that name and those below it."""
    return [module for name, module in modules().items() if within(name, prefix)]


def within(name: str, prefix: str) -> bool:
    """Whether a dotted name is `prefix` or below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def sql_lines(module: Module) -> list[int]:
    """The lines on which the module holds SQL or runs it; docstrings don't count."""
    prose = {id(statement.value) for statement in ast.walk(module.tree) if isinstance(statement, ast.Expr)}
    lines = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in prose and _SQL.search(node.value):
                lines.append(node.lineno)
        elif isinstance(node, ast.Call) and _RUNS_SQL.search(ast.unparse(node.func)):
            lines.append(node.lineno)
    return sorted(set(lines))


def _name(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(name: str, path: Path, known: dict[str, Path]) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return Module(name, path, tree, tuple(_imports(tree, package, known)))


def _imports(tree: ast.Module, package: str, known: dict[str, Path]) -> Iterator[Import]:
    for node, lazy, typing in _statements(tree, lazy=False, typing=False):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield Import(whole if whole in known else source, node.lineno, lazy, typing)


def _statements(node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, lazy, typing
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for_types = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from _statements(child, lazy=lazy or inside, typing=typing or for_types)
