"""Where the socket, the data, the log and the configuration are.

One rule for the daemon and every client: a function of the environment that looks at nothing else but the owner of
`XDG_RUNTIME_DIR`. Creates no folder. Follows the XDG Base Directory Specification 0.8: a value that is no absolute path
counts as unset.

The thin script loads this module on every command, so it imports `os` alone; dataclasses, pathlib or typing would cost
more than the command itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SOCKET_PATH_BYTES = 107
"""The longest path that a Unix socket can have on Linux: `sun_path` is 108 bytes with the final NUL (unix(7))."""

HOME_TAKEN = 75
"""The exit code of a daemon that finds another one in its home, for now: EX_TEMPFAIL of sysexits.h."""

DAMAGED = 70
"""The exit code of a daemon that met damage: its next start recovers. EX_SOFTWARE of sysexits.h."""


QUARANTINE = "quarantine"
"""The folder, in the data folder, of files that were damaged or replaced. Nothing in it is read again, or removed."""

REPORTS = "recovery"
"""The folder, in the data folder, of the reports of recoveries, which are JSON."""

MARKER = "running"
"""The file, in the data folder, that is there while a daemon serves, and after a run that did not end in order."""


_WRITABLE_BY_OTHERS = 0o022
_OF_ALL_DISTRIBUTIONS = "/mnt/wslg"


class BadPlace(ValueError):
    """The environment names a place that can't be used. The text says which variable to change."""


class Paths:
    """The places of one home. Immutable; all paths are absolute."""

    __slots__ = ("config_file", "data_dir", "runtime_dir", "socket", "state_dir")

    socket: str
    runtime_dir: str
    """The folder of the socket."""
    data_dir: str
    state_dir: str
    config_file: str

    def __init__(self, *, socket: str, data_dir: str, state_dir: str, config_file: str) -> None:
        for name, value in (
            ("socket", socket),
            ("runtime_dir", os.path.dirname(socket)),
            ("data_dir", data_dir),
            ("state_dir", state_dir),
            ("config_file", config_file),
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} of Paths can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of Paths can't be deleted")

    def __repr__(self) -> str:
        return f"Paths({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Paths):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__slots__))

    @property
    def database(self) -> str:
        """The one SQLite database."""
        return os.path.join(self.data_dir, "kept.db")

    @property
    def backups(self) -> str:
        """The folder of the backups."""
        return os.path.join(self.data_dir, "backups")

    @property
    def state_file(self) -> str:
        """The mirror of the current state, for tools that only read files; `KEPT_STATE_FILE` names it to them."""
        return os.path.join(self.data_dir, "current", "state.json")

    @property
    def log(self) -> str:
        """The daemon's log, where it doesn't run under the journal."""
        return os.path.join(self.state_dir, "keptd.log")


def is_own_folder(path: str) -> bool:
    """Whether `path` is a folder of the calling user that no other user can write to.

    On WSL2 `/run/user/UID` can belong to root (microsoft/WSL#10846) or vanish after boot (#13562), and its stand-in
    below `/mnt/wslg` is open to all (microsoft/wslg#1333). That one, wherever else it is mounted, is shared by all
    distributions, so that a socket in it could be another's. Then the socket goes below the state folder. A folder that
    others can read (#10896) will do: the socket's own is closed.
    """
    try:
        found = os.stat(path)
    except OSError:
        return False
    is_own = found.st_uid == os.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS and os.path.isdir(path)
    return is_own and not _is_shared(found.st_dev)


def _is_shared(device: int) -> bool:
    try:
        return os.stat(_OF_ALL_DISTRIBUTIONS).st_dev == device
    except OSError:
        return False


def find(environment: Mapping[str, str], is_usable: Callable[[str], bool] = is_own_folder) -> Paths:
    """The places that `environment` (`os.environ`) names.

    `KEPT_HOME` moves everything below one folder; `KEPT_SOCKET` names the socket, whatever else holds. `is_usable`
    tells whether a runtime folder can hold the socket. Raises `BadPlace` where one of the two variables is no absolute
    path, where there is no home folder, for a path that is not UTF-8 (it could be shown in no reply), and for a socket
    path longer than `SOCKET_PATH_BYTES`.
    """
    home = _absolute(environment, "KEPT_HOME")
    if home is not None:
        data = state = home
        config = os.path.join(home, "config.toml")
        runtime = os.path.join(home, "run")
    else:
        data = os.path.join(_xdg(environment, "XDG_DATA_HOME", ".local/share"), "kept")
        state = os.path.join(_xdg(environment, "XDG_STATE_HOME", ".local/state"), "kept")
        config = os.path.join(_xdg(environment, "XDG_CONFIG_HOME", ".config"), "kept", "config.toml")
        session = environment.get("XDG_RUNTIME_DIR", "")
        in_session = os.path.isabs(session) and is_usable(session)
        runtime = os.path.join(session, "kept") if in_session else os.path.join(state, "run")
    socket = _absolute(environment, "KEPT_SOCKET") or os.path.join(runtime, "keptd.sock")
    for path in (socket, data, state, config):
        _check_text(path)
    size = len(os.fsencode(socket))
    if size > SOCKET_PATH_BYTES:
        raise BadPlace(
            f"the socket's path has {size} bytes, and a Unix socket's can have {SOCKET_PATH_BYTES} at most: {socket}\n"
            "Set KEPT_SOCKET to a shorter path in a folder of your own."
        )
    return Paths(socket=socket, data_dir=data, state_dir=state, config_file=config)


def _check_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadPlace(
            f"{path!r} is not UTF-8.\nSet KEPT_HOME, and KEPT_SOCKET if it is set, to paths that are."
        ) from None


def _absolute(environment: Mapping[str, str], name: str) -> str | None:
    value = environment.get(name)
    if not value:
        return None
    if not os.path.isabs(value) or "\0" in value:
        raise BadPlace(f"{name} must be an absolute path, not {value!r}")
    return os.path.normpath(value)


def _xdg(environment: Mapping[str, str], name: str, default: str) -> str:
    value = environment.get(name, "")
    if os.path.isabs(value):
        return value
    home = environment.get("HOME", "")
    if not os.path.isabs(home):
        raise BadPlace(
            f"neither {name} nor HOME is an absolute path.\nSet HOME, or set KEPT_HOME to a folder for kept's files."
        )
    return os.path.join(home, default)
