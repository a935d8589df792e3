"""Who may import whom. Every ban is checked against the source itself, and says why it is there."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from .sources import PACKAGES, ROOT, Import, Module, modules, sql_lines, under, within

DAEMON_MAY_USE = ("kept.wire", "kept.frames", "kept.paths", "kept.mounts", "kept.calls", "kept.version")
ASYNCHRONOUS = ("kept.stream", "kept.channel")
"""The client's only modules that know anyio."""

ROOMS_BELOW = {
    "context": {"memory", "journal", "component", "sessions"},
    "memory": {"trash"},
    "component": {"trash"},
    "sessions": {"trash"},
}
"""Which rooms' stores a room may use. A room that is not named uses none."""

DECLARES_JOBS = "keptd.jobs.declare"
"""What every room may use of the room of the jobs: the decorator."""

LAYERS = (
    (
        "clock",
        ("keptd", "keptd.clock", "keptd.bus", "keptd.redaction", "keptd.tokens", "keptd.zstd", "keptd.system_bus"),
    ),
    (
        "settings",
        (
            *("keptd.config", "keptd.settings", "keptd.schedule", "keptd.log", "keptd.home", "keptd.notify"),
            "keptd.hardening",
        ),
    ),
    ("types", ("keptd.domain",)),
    ("store", ("keptd.store",)),
    ("rpc", ("keptd.rpc", "keptd.offload", "keptd.transfers", "keptd.watchdog")),
    ("rooms", ()),
    ("recovery", ("keptd.recovery",)),
    ("supervisor", ("keptd.supervisor", "keptd.standing")),
    ("program", ("keptd.__main__",)),
)
"""The daemon from the bottom to the top; the rooms belong to the sixth."""

CLIENT_ONLY = (
    *("kept.cli.process", "kept.cli.streams", "kept.cli.tour", "kept.cli.moments"),
    *("kept.cli.transfer", "kept.cli.session_files"),
    *("kept.cli.pager", "kept.cli.logs", "kept.cli.secret_input", "kept.cli.no_echo", "kept.cli.vault_folder"),
    "kept.cli.guarded",
    *("kept.cli.live", "kept.cli.screen", "kept.cli.dashboard", "kept.cli.grid", "kept.cli.samples"),
)
"""The command line's modules that belong to the caller's process, and never run in the daemon."""

REACHES_OUT = frozenset(
    (
        *(
            "asyncio",
            "anyio",
            "ctypes",
            "fcntl",
            "glob",
            "http",
            "io",
            "mmap",
            "multiprocessing",
            "os",
            "pathlib",
            "pty",
        ),
        *("select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading"),
        *(
            "urllib",
            "webbrowser",
            "kept.client",
            "kept.stream",
            "kept.link",
            "kept.start",
            "kept.paths",
            "kept.channel",
        ),
        *("kept.subscription", "kept.face", "kept.checkup", "kept.service"),
        *("kept.vault_run.child", "kept.vault_run.relay", "kept.vault_run.stage"),
    )
)
OPENS = frozenset({"open", "exec", "eval", "__import__", "input", "breakpoint"})


def refuse(found: Iterable[str], why: str) -> None:
    places = sorted(found)
    assert not places, f"{why}\n  " + "\n  ".join(places)


def offences(modules_: Iterable[Module], banned: Callable[[Module, Import], bool]) -> list[str]:
    return [
        f"{module.place(one.line)} imports {one.name}"
        for module in modules_
        for one in module.imports
        if banned(module, one)
    ]


@cache
def rooms() -> frozenset[str]:
    """The packages that have a `DOMAIN`."""
    return frozenset(
        module.name.removeprefix("keptd.")
        for module in under("keptd")
        if module.path.name == "__init__.py"
        and any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOMAIN" for node in module.tree.body)
    )


def room_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "keptd" and parts[1] in rooms() else None


def layer_of(name: str) -> int:
    if room_of(name):
        return next(level for level, (title, _) in enumerate(LAYERS) if title == "rooms")
    for level, (_, prefixes) in enumerate(LAYERS):
        if any(name == prefix or (prefix != "keptd" and within(name, prefix)) for prefix in prefixes):
            return level
    pytest.fail(f"{name} is in no layer: add it to LAYERS")


def is_external(name: str) -> bool:
    root = name.partition(".")[0]
    return root not in sys.stdlib_module_names and root not in PACKAGES


def test_the_source_was_found() -> None:
    assert {"kept.wire.memory", "kept.cli.run", "keptd.supervisor", "keptd.memory.store"} <= modules().keys()
    assert {"memory", "journal", "component", "context", "events", "control"} <= rooms()
    imported = {one.name for one in modules()["keptd.context.gather"].imports}
    assert {"keptd.memory.store", "keptd.context.rules", "kept.wire.memory", "msgspec"} <= imported


def test_the_client_never_imports_the_daemon() -> None:
    refuse(
        offences(under("kept"), lambda _, one: within(one.name, "keptd")),
        "The client is installed and loaded without the daemon; what both need belongs in kept.wire.",
    )


def test_the_daemon_uses_only_the_contract_of_the_client() -> None:
    def banned(module: Module, one: Import) -> bool:
        allowed = (*DAEMON_MAY_USE, "kept.cli") if module.name == "keptd.rpc.cli" else DAEMON_MAY_USE
        return within(one.name, "kept") and not any(within(one.name, prefix) for prefix in allowed)

    refuse(
        offences(under("keptd"), banned),
        f"The daemon shares {', '.join(DAEMON_MAY_USE)} with its clients, and runs kept.cli in keptd.rpc.cli alone: "
        "so that clients can change without it.",
    )


def test_the_thin_client_needs_the_standard_library_and_msgspec_only() -> None:
    def banned(module: Module, one: Import) -> bool:
        allowed = {"msgspec"}
        if module.name in ASYNCHRONOUS:
            allowed.add("anyio")
        if within(module.name, "kept.cli") and one.lazy:
            allowed.add("rich")
        return is_external(one.name) and one.name.partition(".")[0] not in allowed and not one.typing

    refuse(
        offences(under("kept"), banned),
        f"Every import is paid for at the start of every program; {' and '.join(ASYNCHRONOUS)} may load anyio, and "
        "kept.cli loads rich inside the function that draws.",
    )


def test_only_who_asks_for_the_asynchronous_client_loads_it() -> None:
    def banned(module: Module, one: Import) -> bool:
        return one.name in ASYNCHRONOUS and module.name not in ASYNCHRONOUS and not (one.lazy or one.typing)

    refuse(offences(under("kept"), banned), "anyio is no dependency of the blocking client and the command line.")
    refuse(
        offences(under("kept.cli"), lambda _, one: one.name in ASYNCHRONOUS),
        "The command line blocks: it has no use for the asynchronous client.",
    )


def test_the_contract_stands_on_nothing() -> None:
    refuse(
        offences(
            under("kept.wire"),
            lambda _, one: not within(one.name, "kept.wire") and is_external(one.name) and one.name != "msgspec",
        )
        + offences(under("kept.wire"), lambda _, one: within(one.name, "kept") and not within(one.name, "kept.wire")),
        "kept.wire is what everybody else is made from; it imports the standard library and msgspec.",
    )


def test_the_daemon_is_built_in_layers() -> None:
    refuse(
        offences(
            under("keptd"),
            lambda module, one: (
                within(one.name, "keptd") and not one.typing and layer_of(one.name) > layer_of(module.name)
            ),
        ),
        f"Lower layers know nothing of higher ones: {' <- '.join(title for title, _ in LAYERS)}.",
    )


@pytest.mark.parametrize("package", ["rpc", "store", "redaction"])
def test_what_serves_all_rooms_knows_none(package: str) -> None:
    refuse(
        offences(under(f"keptd.{package}"), lambda _, one: room_of(one.name) is not None),
        f"keptd.{package} works for rooms that aren't written yet: they come to it as handlers and migrations.",
    )


ROOM_USERS = ("keptd.supervisor", "keptd.recovery.copies", "keptd.recovery.files")
"""Above the rooms. The others put together again, from backups, what is damaged, before anything is served."""


def test_only_the_supervisor_names_all_rooms() -> None:
    named = {one.name for one in modules()["keptd.supervisor"].imports}
    assert rooms() <= {room for name in named if (room := room_of(name))}
    refuse(
        offences(
            [module for module in under("keptd") if not room_of(module.name) and module.name not in ROOM_USERS],
            lambda _, one: room_of(one.name) is not None,
        ),
        "Rooms are named in one place, the supervisor's DOMAINS; a second list would be forgotten.",
    )


def test_a_room_uses_the_stores_of_rooms_below_it_and_nothing_else_of_them() -> None:
    def banned(module: Module, one: Import) -> bool:
        own, other = room_of(module.name), room_of(one.name)
        if own is None or other is None or own == other or one.name == DECLARES_JOBS:
            return False
        return other not in ROOMS_BELOW.get(own, set()) or one.name != f"keptd.{other}.store"

    refuse(
        offences(under("keptd"), banned),
        "A room can be understood alone: it may read another's store.py, downward only "
        f"({'; '.join(f'{room} uses {sorted(below)}' for room, below in ROOMS_BELOW.items())}), "
        "and never calls another's handlers.",
    )


def test_a_rooms_handlers_are_used_by_nobody_but_its_front_door() -> None:
    def banned(module: Module, one: Import) -> bool:
        own = room_of(module.name)
        handlers = one.name in (f"keptd.{own}.methods", f"keptd.{own}.jobs")
        return own is not None and handlers and module.name != f"keptd.{own}"

    refuse(
        offences(under("keptd"), banned), "store and rules are below methods and jobs, which the room's DOMAIN lists."
    )


def test_sql_is_in_the_store_and_in_the_rooms_own_stores() -> None:
    def may_hold_sql(module: Module) -> bool:
        # The recovery reads and fills the tables of all rooms, and knows none of them.
        if within(module.name, "keptd.store") or within(module.name, "keptd.recovery"):
            return True
        if room_of(module.name) is None:
            return False
        return module.path.name not in ("__init__.py", "methods.py", "jobs.py", "rules.py")

    refuse(
        [module.place(line) for module in modules().values() if not may_hold_sql(module) for line in sql_lines(module)],
        "SQL in one place per room is what makes its queries testable; handlers, rules and rpc hold none.",
    )


def test_what_holds_sql_takes_a_connection_and_not_a_request() -> None:
    with_sql = [module for module in under("keptd") if room_of(module.name) and sql_lines(module)]
    assert len(with_sql) > 5
    why = "Functions with SQL take a connection and plain values, so that jobs, tests and other rooms can call them."
    refuse(offences(with_sql, lambda _, one: within(one.name, "keptd.rpc")), why)
    refuse(
        [
            module.place(node.lineno)
            for module in with_sql
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name) and node.id in ("ReadCtx", "WriteCtx", "ControlCtx")
        ],
        why,
    )


def test_no_handler_runs_sql_through_its_context() -> None:
    refuse(
        [
            module.place(node.lineno)
            for module in under("keptd")
            if module.path.name == "methods.py"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("ctx.db.")
        ],
        "A handler checks, asks the store, and publishes.",
    )


def in_the_daemon() -> list[Module]:
    """The command line as the daemon loads it: from `kept.cli` on, without what only the caller's process uses."""
    found: dict[str, Module] = {}
    waiting = ["kept.cli"]
    while waiting:
        module = modules()[waiting.pop()]
        found[module.name] = module
        waiting += [
            one.name
            for one in module.imports
            if within(one.name, "kept.cli") and one.name not in found and one.name not in CLIENT_ONLY and not one.typing
        ]
    return list(found.values())


def test_the_command_line_in_the_daemon_touches_no_file_and_starts_nothing() -> None:
    inside = in_the_daemon()
    assert len(inside) > 10
    refuse(
        offences(inside, lambda _, one: any(within(one.name, name) for name in REACHES_OUT) and not one.typing),
        "The daemon runs this with arguments that a sandboxed client sent: it must not give that client any reach.",
    )
    refuse(
        [
            f"{module.place(node.lineno)} calls {node.func.id}"
            for module in inside
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPENS
        ],
        "The daemon never opens a path, and never runs code, that a client names.",
    )


def test_the_callers_own_commands_are_loaded_only_when_they_run() -> None:
    refuse(
        offences(in_the_daemon(), lambda _, one: one.name in CLIENT_ONLY and not one.lazy),
        "What belongs to the caller's process must not be loaded into the daemon.",
    )


def test_modules_that_reach_out_of_the_command_line_are_named() -> None:
    inside = {module.name for module in in_the_daemon()}
    assert {module.name for module in under("kept.cli")} - inside == set(CLIENT_ONLY)


SOURCES = [str(path) for path in PACKAGES.values()]
SECONDS = 60
"""A deadline for what ends in a second unless it is broken."""

HEAVY = ("anyio", "apsw", "asyncio", "cryptography", "keptd", "rich", "structlog", "uvloop")


def loaded(program: str, *names: str) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after a program."""
    code = f"import sys\nsys.path[:0] = {SOURCES!r}\n{program}\n"
    code += f"print(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS, cwd=ROOT
    )
    return done.stdout.split()


def test_an_everyday_command_loads_neither_a_package_nor_what_it_can_do_without(home: Path) -> None:
    without = ("msgspec", "json", "socket", "re", "enum", "argparse", "typing", "dataclasses", "kept.cli", "kept.wire")
    (home / "run").mkdir(mode=0o700)
    program = (
        "import os, sys\n"
        f"sys.path[:0] = {SOURCES!r}\n"
        "sys.argv = ['kept', 'memory', 'get', 'colour']\n"
        "leave = os._exit\n"
        "def tell(code):\n"
        f"    print(*[name for name in {(*HEAVY, *without)!r} if name in sys.modules], flush=True)\n"
        "    leave(code)\n"
        "os._exit = tell\n"
        "from kept.__main__ import main\n"
        "main()\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "run" / "keptd.sock"))
        listener.listen()
        listener.settimeout(SECONDS)
        # -S: what site and the packages beside ours load for every program says nothing about this one.
        command = [sys.executable, "-S", "-c", program]
        script = subprocess.Popen(command, env={"KEPT_HOME": str(home)}, stdout=subprocess.PIPE, text=True)
        connection, _ = listener.accept()
        with connection:
            assert b'"cli.run"' in connection.recv(65_536)
            connection.send(b'{"jsonrpc":"2.0","id":1,"result":{"code":0,"out":"blue\\n"}}\n')
            out, _ = script.communicate(timeout=SECONDS)
    assert (script.returncode, out) == (0, "blue\n\n")


def test_the_blocking_client_loads_no_package_but_msgspec() -> None:
    assert loaded("import kept.face, kept.client, kept.start", "msgspec", *HEAVY) == ["msgspec"]


def test_a_command_run_by_the_client_loads_no_heavy_package() -> None:
    program = (
        "from kept.cli import answer\n"
        "from kept.wire.daemon import RunCommand\n"
        "import kept.cli.process\n"
        "for argv in (('--help',), ('memory', 'get', '--help'), ('--version',)):\n"
        "    assert answer(RunCommand(argv=argv), None).code == 0\n"
    )
    assert loaded(program, *HEAVY) == []


def test_the_daemon_starts_without_what_only_some_requests_need() -> None:
    assert loaded("import keptd.__main__", "apsw", "kept.cli", "cryptography", "rich", "trio", "hypothesis") == ["apsw"]
