"""Whether a daemon answers, and what is known of one that does not: it is asked, and waited for a few seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from stat import S_ISSOCK
from time import monotonic, sleep

from msgspec import Struct

from ..cli.text import one_line
from ..client import Client
from ..faults import Fault, NoDaemon, NoReply
from ..holding import condition, holding
from ..introduced import BadAgent, hello_of, introducing
from ..paths import Paths
from ..service import Service
from ..settings import Settings
from ..trust import Untrusted
from ..wire.daemon import DaemonStatus, Status
from ..wire.errors import KeptError
from ..wire.maintenance import CheckDatabase, Checkup, Finding
from .findings import of_text, ok, problem, quoted, warning
from .journal import journal_of

ANSWER_SECONDS = 3.0
"""How long a daemon may take to say that it is there."""

CHECK_SECONDS = 10.0
"""How long it may take for a quick check, which looks at the disk."""

REFUSAL_SECONDS = 5.0
"""How long a daemon is looked at that nobody can reach, for what it says when it refuses to start."""

_STUCK = (
    "Run kept doctor again in a minute. If that stays so, kept daemon restart --kill ends it and starts another: "
    "nothing acknowledged is lost."
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
    except BadAgent as fault:
        return Reached(findings=(problem("agent", str(fault), fault.step),), runs=holding(paths.data_dir) is not None)
    except Untrusted as refusal:
        return Reached(
            findings=(of_text("socket", str(refusal), "Set KEPT_SOCKET to another path."),),
            runs=holding(paths.data_dir) is not None,
        )
    except (NoDaemon, NoReply, OSError) as fault:
        return _unanswered(paths, environ, fault)
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
    settings = Settings(environ=environ, start=False, patience=ANSWER_SECONDS, reply_seconds=seconds)
    client = Client(paths, hello_of(environ), settings)
    with introducing(environ):
        client.open()
    return client


def _unanswered(paths: Paths, environ: Mapping[str, str], fault: Exception) -> Reached:
    pid = holding(paths.data_dir)
    if pid is None:
        return Reached(findings=tuple(_of_nobody(paths, environ, fault)), runs=False)
    found = condition(pid)
    said = journal_of(paths.data_dir, pid)
    more = f" What it has said: {said}" if said else ""
    if isinstance(fault, NoReply) or found.step:
        told = f"keptd (pid {pid}) does not answer within {ANSWER_SECONDS:.0f} s: it {found.does}"
        step = found.step or _STUCK
        return Reached(findings=(problem("daemon", told, step + more),), runs=True)
    told = f"keptd (pid {pid}) has the home, and does not listen: it is starting, recovering a database, or ending"
    step = "Wait a little, and run kept doctor again: a large database takes its time, and nothing is lost meanwhile."
    return Reached(findings=(warning("daemon", told, step + more),), runs=True)


def _of_nobody(paths: Paths, environ: Mapping[str, str], fault: Exception) -> list[Finding]:
    if isinstance(fault, NoReply):
        if why := _hindrance(Service(paths, environ)):
            told = f"none runs, and who connects waits at the service manager's socket: {one_line(why)}"
            return [problem("daemon", told, "Mend that, then: kept daemon start. kept daemon status says how it is.")]
        told = f"something listens at {paths.socket} and does not answer, and no daemon has the home"
        return [problem("daemon", told, "See what it is: ss -xlp shows who listens. KEPT_SOCKET names another socket.")]
    found = [ok("daemon", "none runs", "kept daemon start starts one; so does any other command.")]
    if _is_socket(paths.socket):
        found.append(ok("socket", "one that was killed left it behind; the next start replaces it"))
    elif not isinstance(fault, NoDaemon):
        found.append(problem("socket", one_line(str(fault)), f"ls -ld {quoted(paths.runtime_dir)}"))
    return found


def _hindrance(service: Service) -> str:
    """Why nobody answers at a service manager's socket. One that refuses to start is started again for whoever waits
    there, until the manager gives it up; meanwhile its words are there for a moment at a time."""
    end = monotonic() + REFUSAL_SECONDS
    while service.is_installed():
        if (why := service.hindrance()) or monotonic() >= end:
            return why
        sleep(0.05)
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
