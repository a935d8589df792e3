"""What another process of the same user gets of a daemon: nothing that is in its memory, its environment, or a core.

A process that is not hardened is looked at in the same way first: where even that one is out of reach, or leaves no
core file, the system says no by itself, and nothing would be shown.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from keptd import hardening
from tests.harness import PATIENCE, Process

NOBODY = 65534

AS_USER = f"""
import ctypes, os, resource, sys
def become_a_user():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
        os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    # As any program is that has just been executed; a change of the user takes that away.
    ctypes.CDLL(None).prctl({hardening._PR_SET_DUMPABLE}, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
"""Root may look at everything, so a test that is root's becomes somebody else."""

DAEMON = f"""{AS_USER}
import anyio, keptd.__main__
from keptd.rpc.cli import load_the_rest
# What it loads later may be out of this user's reach.
keptd.__main__._has_uvloop()
anyio.run(load_the_rest)
become_a_user()
os.chdir(os.environ["KEPT_HOME"])
sys.exit(keptd.__main__.main(sys.argv[1:]))
"""

PLAIN = f"""{AS_USER}
become_a_user()
print("ready", flush=True)
sys.stdin.read()
"""

LOOK = f"""{AS_USER}
import json
pid = int(sys.argv[1])
become_a_user()

def attach():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0):
        raise OSError(ctypes.get_errno(), "")
    os.waitpid(pid, 0)
    libc.ptrace(17, pid, 0, 0)

looks = {{
    "attach": attach,
    "environ": lambda: open(f"/proc/{{pid}}/environ", "rb").read(1),
    "memory": lambda: open(f"/proc/{{pid}}/mem", "rb"),
    "maps": lambda: open(f"/proc/{{pid}}/maps", "rb").read(1),
    "descriptors": lambda: os.readlink(f"/proc/{{pid}}/fd/0"),
    "state": lambda: open(f"/proc/{{pid}}/stat", "rb").read(1),
    "group": lambda: open(f"/proc/{{pid}}/cgroup", "rb").read(1),
}}
seen = {{}}
for name, look in looks.items():
    try:
        look()
        seen[name] = True
    except OSError:
        seen[name] = False
print(json.dumps(seen))
"""

FOR_EVERYBODY = {"state", "group"}
"""What kept's own client reads of its daemon."""

TRACE = re.compile(
    r"""|Fatal\ Python\ error:\ Aborted
    |(Current\ thread|Thread)\ 0x[0-9a-f]+(\ \[[^\]]*\])?\ \(most\ recent\ call\ first\):
    |\ \ File\ "[^"]*",\ line\ \d+\ in\ \S+
    |\ \ (\.\.\.|<.*>)
    |Current\ thread's\ C\ stack\ trace\ \(most\ recent\ call\ first\):
    |\ \ Binary\ file\ "[^"]*".*
    |Extension\ modules:\ .*\ \(total:\ \d+\)""",
    re.VERBOSE,
)
"""All that faulthandler prints: where each thread stood, and no value."""


def seen_by_another(pid: int) -> dict[str, bool]:
    """What a process of the same user gets of this one."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(pid)], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return dict(json.loads(done.stdout))


@contextmanager
def plain(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process like any other."""
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def own(home: Path) -> None:
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)


def daemon(home: Path) -> Process:
    """A daemon of an ordinary user, with a watchdog."""
    own(home)
    process = Process(home)
    process._command = [sys.executable, "-c", DAEMON, *process._command[3:]]
    process._environ |= {"WATCHDOG_USEC": "600000000", "NOTIFY_SOCKET": str(home / "nobody")}
    return process


def test_another_process_of_the_user_reads_nothing_and_can_not_attach(home: Path) -> None:
    own(home)
    with plain(home) as process:
        if hidden := [what for what, got in seen_by_another(process.pid).items() if not got]:
            pytest.skip(f"this system refuses {', '.join(hidden)} of any process")
    with daemon(home) as hardened:
        seen = seen_by_another(hardened.popen.pid)
    assert {what for what, got in seen.items() if got} == FOR_EVERYBODY


def test_the_kernel_is_told_to_write_no_core_of_it(home: Path) -> None:
    """Where cores go is the machine's business, and may be out of reach here; whether there may be one is not."""
    home.chmod(0o755)
    (home / "plain").mkdir()
    own(home / "plain")
    with plain(home / "plain") as process:
        assert is_dumpable(process.pid), "this says nothing where nobody is"
        assert core_limits(process.pid) == ["unlimited", "unlimited"]
    with daemon(home) as hardened:
        assert not is_dumpable(hardened.popen.pid)
        assert core_limits(hardened.popen.pid) == ["0", "0"], "neither may any process that it starts"


def is_dumpable(pid: int) -> bool:
    """Whether it belongs to its user: of one that isn't dumpable, /proc/PID is root's (proc(5))."""
    return Path(f"/proc/{pid}/environ").stat().st_uid != 0


def core_limits(pid: int) -> list[str]:
    """How large a core file of it may be, in bytes; and how large it could make that."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    return line.split()[4:6]


def test_an_abort_leaves_no_core_and_tells_places_but_no_values(home: Path) -> None:
    home.chmod(0o755)
    (home / "plain").mkdir()
    own(home / "plain")
    with plain(home / "plain") as process:
        process.send_signal(signal.SIGABRT)
        process.wait(PATIENCE)
    leaves_cores = any((home / "plain").iterdir())
    hardened_home = home / "hardened"
    hardened_home.mkdir()
    with daemon(hardened_home) as hardened:
        hardened.popen.send_signal(signal.SIGABRT)
        assert hardened.popen.stderr is not None
        said = hardened.popen.stderr.read().splitlines()
        assert hardened.popen.wait(PATIENCE) == -signal.SIGABRT
    trace = said[said.index("Fatal Python error: Aborted") :]
    assert [line for line in trace if not TRACE.fullmatch(line)] == []
    if not leaves_cores:
        pytest.skip("this system leaves no core file in the working folder of any process")
    assert not [path for path in hardened_home.iterdir() if path.name.startswith("core")]


UNPROTECTED = """
import ctypes, sys
def refused(*_):
    raise OSError
ctypes.CDLL = refused
from keptd.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_system_without_it_is_served_all_the_same_and_told(home: Path) -> None:
    process = Process(home)
    process._command = [sys.executable, "-c", UNPROTECTED, *process._command[3:]]
    process.popen = process._spawn()
    try:
        assert process.popen.stderr is not None
        said = list(takewhile(lambda line: '"ready"' not in line, process.popen.stderr))
        assert process.popen.poll() is None
    finally:
        process.__exit__()
    assert "can read the daemon's memory" in said[0]
