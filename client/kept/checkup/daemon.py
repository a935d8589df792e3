"""Whether a daemon answers, and what is known of one that does not: it is asked, and waited for a few seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from stat import S_ISSOCK

from msgspec import Struct

from ..agent import named
from ..cli.text import one_line
from ..client import Client
from ..faults import Fault, NoDaemon, NoReply
from ..holder import has_home, holder
from ..paths import Paths
from ..settings import Settings
from ..trust import Untrusted
from ..wire.daemon import DaemonStatus, Hello, Status
from ..wire.errors import KeptError
from ..wire.maintenance import CheckDatabase, Checkup, Finding
from .findings import of_text, ok, problem, quoted, warning
from .journal import journal_of

ANSWER_SECONDS = 3.0
"""How long a daemon may take to say that it is there."""

CHECK_SECONDS = 10.0
"""How long it may take for a quick check, which looks at the disk."""

_STATES = {
    "T": ("is stopped (Ctrl-Z or SIGSTOP)", "kill -CONT {pid} lets it go on."),
    "t": ("is held by a debugger", "It goes on when the debugger lets it."),
    "D": ("waits for the disk", "Wait, and look at the disk: dmesg may say more. Then run kept doctor again."),
}
"""Of proc_pid_stat(5), and what to do."""

_OTHER = (
    "is busy with something, or stuck",
    "Run kept doctor again in a minute. If that stays so, kill {pid} asks it to end: nothing acknowledged is lost.",
)


class Reached(Struct, frozen=True, kw_only=True):
    """What came of asking. `runs` is whether a daemon has the home, answering or not."""

    findings: tuple[Finding, ...]
    runs: bool
    checkup: Checkup | None = None


def reach(paths: Paths, environ: Mapping[str, str], version: str) -> Reached:
    """Ask the daemon of a home how it is. Starts none. `version` is the client's own."""
    try:
        with _client(paths, environ, ANSWER_SECONDS) as client:
            status = client.call(Status())
    except Untrusted as refusal:
        return Reached(
            findings=(of_text("socket", str(refusal), "Set KEPT_SOCKET to another path."),),
            runs=_pid(paths) is not None,
        )
    except (NoDaemon, NoReply, OSError) as fault:
        return _unanswered(paths, fault)
    except (Fault, KeptError) as fault:
        step = "kept daemon stop ends it, and the next command starts the one that is installed."
        return Reached(findings=(problem("daemon", one_line(str(fault)), step),), runs=True)
    findings = [_of_version(status, version), _of_last_run(status), *_of_journal(paths, status.pid)]
    if os.path.realpath(status.home) != os.path.realpath(paths.data_dir):
        told = f"the daemon that answers has another home ({status.home}), so the files of {paths.data_dir} are not its"
        findings.append(warning("home", told, "See whether KEPT_SOCKET and KEPT_HOME are both meant."))
    try:
        with _client(paths, environ, CHECK_SECONDS) as client:
            checkup = client.call(CheckDatabase(quick=True))
    except (Fault, KeptError, OSError) as fault:
        step = "Run kept doctor again. If that stays so, kept daemon restart begins anew."
        findings.append(problem("check", f"the daemon could not check itself: {one_line(str(fault))}", step))
        return Reached(findings=tuple(findings), runs=True)
    return Reached(findings=tuple(findings), runs=True, checkup=checkup)


def _client(paths: Paths, environ: Mapping[str, str], seconds: float) -> Client:
    agent = named(environ)
    hello = None if agent is None else Hello(client=agent, kind="agent")
    client = Client(
        paths, hello, Settings(environ=environ, start=False, patience=ANSWER_SECONDS, reply_seconds=seconds)
    )
    client.open()
    return client


def _unanswered(paths: Paths, fault: Exception) -> Reached:
    pid = _pid(paths)
    if pid is None:
        return Reached(findings=tuple(_of_nobody(paths, fault)), runs=False)
    state, step = _STATES.get(_state(pid), _OTHER)
    said = journal_of(paths.data_dir, pid)
    more = f" What it has said: {said}" if said else ""
    if isinstance(fault, NoReply) or _state(pid) in _STATES:
        told = f"keptd (pid {pid}) does not answer within {ANSWER_SECONDS:.0f} s: it {state}"
        return Reached(findings=(problem("daemon", told, step.format(pid=pid) + more),), runs=True)
    told = f"keptd (pid {pid}) has the home, and does not listen: it is starting, recovering a database, or ending"
    step = "Wait a little, and run kept doctor again: a large database takes its time, and nothing is lost meanwhile."
    return Reached(findings=(warning("daemon", told, step + more),), runs=True)


def _of_nobody(paths: Paths, fault: Exception) -> list[Finding]:
    if isinstance(fault, NoReply):
        told = f"something listens at {paths.socket} and does not answer, and no daemon has the home"
        return [problem("daemon", told, "See what it is: ss -xlp shows who listens. KEPT_SOCKET names another socket.")]
    found = [ok("daemon", "none runs", "kept daemon start starts one; so does any other command.")]
    if _is_socket(paths.socket):
        found.append(ok("socket", "one that was killed left it behind; the next start replaces it"))
    elif not isinstance(fault, NoDaemon):
        found.append(problem("socket", one_line(str(fault)), f"ls -ld {quoted(paths.runtime_dir)}"))
    return found


def _pid(paths: Paths) -> int | None:
    """Of the daemon that holds the lock of the home now."""
    found = holder(paths.data_dir)
    return found[0] if found is not None and has_home(paths.data_dir, found[0]) else None


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            return file.read(4096).rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def _is_socket(path: str) -> bool:
    try:
        return S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _of_version(status: DaemonStatus, version: str) -> Finding:
    told = f"keptd {status.version} answers (pid {status.pid})"
    if status.version == version:
        return ok("daemon", told)
    step = "kept daemon restart: the one that then runs is of the installed version, and nobody is refused meanwhile."
    return warning("daemon", f"{told}, and this command is of version {version}", step)


def _of_journal(paths: Paths, pid: int) -> Iterator[Finding]:
    said = journal_of(paths.data_dir, pid)
    if said is not None:
        yield ok("log", "a service manager runs the daemon, so its log is in the journal", f"{said} shows it.")


def _of_last_run(status: DaemonStatus) -> Finding:
    """How the run before this one ended."""
    ending = status.storage.ending
    if ending == "clean":
        return ok("last run", "it ended in order")
    how = "met damage" if ending == "damaged" else "was ended from outside (a kill, or the power)"
    checked = "has been looked at since" if status.storage.is_checked else "is being read from end to end meanwhile"
    return ok("last run", f"it {how}; all of the database {checked}")
