"""The text of the two units, for one home and one installation. Pure but for reading the shipped files.

A home that KEPT_HOME or KEPT_SOCKET names gets units of its own, since two daemons can serve two homes at once; they
are named for the home, so that installing twice finds them again. A template unit (`keptd@`) could carry one of the two
variables in its name, and not both.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from importlib.resources import files

from msgspec import Struct

from ..paths import BadPlace, Paths

CARRIED = ("KEPT_HOME", "KEPT_SOCKET", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
"""What decides about places (`kept.paths`), and what a manager that began before the shell may not know."""

_SHIPPED = ("keptd.service", "keptd.socket")

_MARK = "# Written by `kept daemon install`, which writes it anew; yours: systemctl --user edit "
_SUM = re.compile(rf"{re.escape(_MARK)}\S+\n# ([0-9a-f]{{64}})\n")


class Unit(Struct, frozen=True, kw_only=True):
    """A unit file: its name and its text."""

    name: str
    text: str


def name_of(paths: Paths, environ: Mapping[str, str]) -> str:
    """The name of a home's units, without `.service`: `keptd`, or for a home of its own `keptd-work-1a2b3c`."""
    if not (environ.get("KEPT_HOME") or environ.get("KEPT_SOCKET")):
        return "keptd"
    digest = hashlib.blake2s(f"{paths.data_dir}\n{paths.socket}".encode(), digest_size=3).hexdigest()
    word = re.sub(r"[^a-z0-9]+", "-", os.path.basename(paths.data_dir).lower()).strip("-")[:24]
    return "-".join(filter(None, ("keptd", word, digest)))


def rendered(paths: Paths, environ: Mapping[str, str], executable: str) -> tuple[Unit, Unit]:
    """The service and the socket of a home whose daemon runs in the interpreter `executable`, an absolute path.

    The interpreter that runs kept has keptd beside it, whether pipx, uv, venv or `pip --user` put both there; a
    script's place differs between them. Raises `BadPlace` for a path that no unit can hold.
    """
    name = name_of(paths, environ)
    carried = [f"Environment={_quoted(f'{each}={environ[each]}')}\n" for each in CARRIED if environ.get(each)]
    # The colon keeps systemd from reading `$` in a path as a variable. -P: the manager's folder is no place to import.
    python = f":{_quoted(executable)} -P -m"
    command = f"ExecStart={python} keptd\n"
    # Named before the paths come in, which may hold that word as well.
    shipped = _shipped(_SHIPPED[0]).replace("keptd.socket", f"{name}.socket")
    service = _replaced(shipped, "ExecStart=", command + "".join(carried))
    service = _replaced(service, "ExecReload=", f"ExecReload={python} kept daemon reload\n")
    socket = _replaced(_shipped(_SHIPPED[1]), "ListenStream=", f"ListenStream={_listen(paths, environ)}\n")
    if name != "keptd":
        for_home = f" ({_escaped(paths.data_dir)})\n"
        service, socket = _described(service, for_home), _described(socket, for_home)
    return _marked(f"{name}.service", service), _marked(f"{name}.socket", socket)


def is_own(text: str) -> bool:
    """Whether `kept daemon install` wrote this text, of whatever version, and nobody has edited it since; or somebody
    has copied it as it is shipped."""
    found = _SUM.match(text)
    if found is None:
        return text in map(_shipped_whole, _SHIPPED)
    return found[1] == _digest(text[found.end() :])


def _marked(name: str, body: str) -> Unit:
    return Unit(name=name, text=f"{_MARK}{name}\n# {_digest(body)}\n{body}")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _shipped(name: str) -> str:
    """A shipped unit without its leading comment, which is about copying it by hand."""
    text = _shipped_whole(name)
    return text[text.index("[Unit]") :]


def _shipped_whole(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _replaced(text: str, key: str, line: str) -> str:
    before, found, after = text.partition(f"\n{key}")
    if not found:
        raise LookupError(f"the shipped unit has no {key}")
    return f"{before}\n{line}{after.partition(chr(10))[2]}"


def _described(text: str, addition: str) -> str:
    head, _, rest = text.partition("Description=")
    line, _, after = rest.partition("\n")
    return f"{head}Description={line}{addition}{after}"


def _listen(paths: Paths, environ: Mapping[str, str]) -> str:
    session = environ.get("XDG_RUNTIME_DIR")
    if session and paths.socket == os.path.join(session, "kept", "keptd.sock"):
        return "%t/kept/keptd.sock"
    return _escaped(paths.socket)


def _quoted(text: str) -> str:
    """A word of a command line or an assignment (systemd.syntax(7), systemd.unit(5))."""
    inner = _escaped(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _escaped(text: str) -> str:
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        raise BadPlace(
            f"a unit of systemd can't hold the path {text!r}: it has a control character, or a space or backslash at "
            "an end.\nUse another place."
        )
    return text.replace("%", "%%")
