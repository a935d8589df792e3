"""`keptd`: reads the command line and the settings, opens the log, and runs the daemon until it is told to stop.

Exit codes: 0 after a stop, 1 where the home, the socket or the database can't be used or a thread of the store failed,
2 for a wrong command line or setting, or a home on a file system that can't hold one, 70 where the database was found
damaged (start it again, and it recovers), 75 where another daemon has the home.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import anyio
import structlog

from kept.paths import HOME_TAKEN, BadPlace, find

from . import VERSION, config, hardening, log, notify
from .home import HomeTaken, UnsoundHome, UnusableHome, check_ground
from .rpc.listen import UnusableSocket, adopt
from .store.database import UnusableDatabase
from .store.migrations import ChangedMigration, NewerDatabase
from .supervisor import Broken, Supervisor

logger = structlog.get_logger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the daemon; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="keptd",
        description="Keeps the state of people who work with AI agents. Started by `kept` when it is needed.",
        epilog="Settings: defaults < config.toml < KEPT_<SECTION>_<KEY> < --set. KEPT_HOME moves all files.",
    )
    parser.add_argument("--version", action="version", version=f"keptd {VERSION}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a setting (see config.example.toml)",
    )
    arguments = parser.parse_args(argv)
    os.umask(0o077)
    is_protected = hardening.protect()
    service = notify.take(os.environ, os.getpid())
    with closing(service.notifier):
        return _run(arguments.set, service, sys.argv[1:] if argv is None else argv, is_protected=is_protected)


def _run(overrides: list[str], service: notify.Service, argv: list[str], *, is_protected: bool) -> int:
    if service.watchdog_seconds:
        # Its signal is SIGABRT: where each thread stood is then the last that is said.
        faulthandler.enable()
    try:
        paths = find(os.environ)
        check_ground(paths)
        settings = config.load(Path(paths.config_file), os.environ, overrides)
    except (BadPlace, UnsoundHome, config.ConfigError) as refusal:
        service.notifier.status(str(refusal))
        sys.stderr.write(f"keptd: {refusal}\n")
        return 2
    log.configure(settings.log, paths)
    if not is_protected:
        logger.warning("other processes of this user can read the daemon's memory", reason="prctl(2) can't be called")
    try:
        supervisor = Supervisor(
            paths,
            settings,
            lambda: config.load(Path(paths.config_file), os.environ, overrides),
            service=service,
            listener=adopt(service.passed, Path(paths.socket)),
            places=lambda: find(os.environ),
            inherited=[name for _, name in service.passed] == [notify.OF_ITSELF],
        )
        code = anyio.run(supervisor.run, backend="asyncio", backend_options={"use_uvloop": _has_uvloop()})
    except (UnusableHome, UnusableSocket, UnusableDatabase, NewerDatabase, ChangedMigration, Broken) as refusal:
        service.notifier.status(str(refusal))
        sys.stderr.write(f"keptd: {refusal}\n")
        return HOME_TAKEN if isinstance(refusal, HomeTaken) else 1
    return code if supervisor.handed_on is None else _succeed(supervisor.handed_on, argv)


def _succeed(listener: socket.socket, argv: list[str]) -> int:
    """Become the daemon that is installed by now, which gets the socket as a service manager passes one
    (sd_listen_fds(3)). The process stays, and its number; returns only where that fails."""
    if listener.fileno() == notify.FIRST_DESCRIPTOR:
        listener.set_inheritable(True)
    else:
        os.dup2(listener.fileno(), notify.FIRST_DESCRIPTOR)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": notify.OF_ITSELF}
    try:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "keptd", *argv])  # noqa: S606 - no shell is the point
    except OSError as fault:
        sys.stderr.write(f"keptd: {sys.executable} can't be started: {fault.strerror}\n")
    return 1


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401, PLC0415 - there is none for every interpreter
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
