"""A systemd user manager of a test's own, with kept installed as a person installs it: from its wheel, into a venv.

It runs as an unprivileged uid, in a mount namespace where `/run` is empty but for what it needs, and in a control group
of its own: as root, or in the group of other processes, a manager would move those. Everything is ended through that
group, and removed.

Needs root, systemd, and a control group of version 2 that can be written to; `obstacle` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .harness import PATIENCE
from .sources import ROOT

UID = 61_187
"""Of nobody: above those of people, below those of systemd's own ranges."""

MANAGER = Path("/lib/systemd/systemd")
GROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Where version 2 is, beside version 1 or alone."""

BEGIN = """
set -eu
echo $$ > "$GROUP/cgroup.procs"
chown -R "$OWNER" "$GROUP"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system "/run/user/$OWNER"
chown "$OWNER:$OWNER" "/run/user/$OWNER"
chmod 700 "/run/user/$OWNER"
if [ -n "$CLOSED" ]; then
    mkdir /run/base
    mount --bind "$BASE" /run/base
    mount -t tmpfs -o mode=755 tmpfs "$CLOSED"
    mkdir -p "$BASE"
    mount --bind /run/base "$BASE"
fi
exec setpriv --reuid "$OWNER" --regid "$OWNER" --clear-groups env -i HOME="$HOME_FOLDER" PATH=/usr/bin:/bin \
    LANG=C.UTF-8 XDG_RUNTIME_DIR="/run/user/$OWNER" SYSTEMD_LOG_TARGET=console "$MANAGER" --user
"""
"""Opens the interpreter's folder to that uid where it is below one that only root may enter."""


def obstacle() -> str:
    """Why no manager can be had here, or nothing."""
    if os.geteuid() != 0:
        return "a user manager of the test's own takes root: its uid, namespace and control group are not the tester's"
    missing = [name for name in ("systemctl", "setpriv", "unshare", "nsenter") if not shutil.which(name)]
    if missing or not MANAGER.exists():
        return f"not installed: {', '.join(missing) or 'systemd'}; apt-get install systemd util-linux"
    if _group_root() is None:
        return "there is no control group of version 2 that can be written to"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"the kernel gives no mount namespace: {tried.stderr.strip()}"


def _group_root() -> Path | None:
    return next((one for one in GROUPS if (one / "cgroup.procs").exists() and os.access(one, os.W_OK)), None)


class UserManager:
    """A manager that runs, and kept beside it. `home` is the folder of the person whose it is."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.home = folder / "home"
        self.bin = folder / "venv" / "bin"
        self._pid = pid
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": f"/run/user/{UID}",
        }

    def command(self, *words: str, **more: str) -> list[str]:
        """What runs `words` as that person, inside."""
        variables = [f"{name}={value}" for name, value in {**self.environ, **more}.items()]
        inside = ["nsenter", f"--target={self._pid}", "--mount", f"--wd={self.home}"]
        person = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env", "-i", *variables]
        return [*inside, *person, *words]

    def run(self, *words: str, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end. Fails unless it ends with `code`; None for any."""
        done = subprocess.run(
            self.command(*words, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
        assert code in (None, done.returncode), (words, done.returncode, done.stdout, done.stderr)
        return done

    def kept(self, *words: str, code: int | None = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run kept as it was installed."""
        return self.run(str(self.bin / "kept"), *words, code=code, **more)

    def ask(self, *words: str) -> str:
        """What systemctl prints."""
        return self.run("systemctl", "--user", *words).stdout.strip()

    def property(self, name: str, unit: str = "keptd.service") -> str:
        """A property of a unit."""
        return self.ask("show", f"--property={name}", "--value", unit)

    def until(self, name: str, value: str, unit: str = "keptd.service") -> None:
        """Return when a property of a unit has this value. The manager tells nobody here, and each look is three
        programs, which would take the time from what they wait for."""
        end = time.monotonic() + PATIENCE
        while (found := self.property(name, unit)) != value:
            assert time.monotonic() < end, f"{name} of {unit} is {found}, not {value}"
            time.sleep(0.05)

    def write(self, path: str, text: str) -> None:
        """Write a file of that person's, below the home folder."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for one in (file, *file.relative_to(self.home).parents):
            os.chown(self.home / one, UID, UID)


@contextmanager
def installed() -> Iterator[Path]:
    """A folder that everybody may read, with kept in a venv whose path is hard to quote."""
    with tempfile.TemporaryDirectory(prefix="kept-unit-", dir="/tmp") as name:
        folder = Path(name) / "100% a"
        folder.mkdir()
        for one in (folder, folder.parent):
            one.chmod(0o755)
        wheels = folder.parent / "wheels"
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        _run(build, cwd=ROOT)
        venv.create(folder / "venv", symlinks=True)
        python = folder / "venv" / "bin" / "python"
        install = ["-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python), "install"]
        _run([sys.executable, *install, "--no-deps", "--no-index", *map(str, wheels.glob("*.whl"))])
        # What kept depends on is the tester's; its own editable install is named in a file that this one doesn't read.
        site = folder / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        yield folder


@contextmanager
def managing(folder: Path) -> Iterator[UserManager]:
    """A manager that is up; with everything that it started gone at the end."""
    root = _group_root()
    assert root is not None
    group = root / f"kept-test-{os.getpid()}"
    group.mkdir()
    home = folder / "home"
    home.mkdir()
    os.chown(home, UID, UID)
    base = Path(sys.base_prefix)
    closed = next((str(one) for one in reversed(base.parents) if not one.stat().st_mode & 0o001), "")
    environ = {
        "PATH": os.environ["PATH"],
        "GROUP": str(group),
        "OWNER": str(UID),
        "BASE": str(base),
        "CLOSED": closed,
        "HOME_FOLDER": str(home),
        "MANAGER": str(MANAGER),
    }
    with (folder / "manager.log").open("wb") as log:
        begin = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BEGIN]
        process = subprocess.Popen(begin, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            manager = UserManager(folder, process.pid)
            _await(manager, process, folder / "manager.log")
            yield manager
        finally:
            _end(group, process)
            shutil.rmtree(home)


def _await(manager: UserManager, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    said = ""
    while said.strip() not in ("running", "degraded"):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        said = manager.run("systemctl", "--user", "is-system-running", "--wait", code=None).stdout


def _end(group: Path, process: subprocess.Popen[bytes]) -> None:
    kill = group / "cgroup.kill"
    if kill.exists():
        kill.write_text("1")
    process.kill()
    process.wait(PATIENCE)
    end = time.monotonic() + PATIENCE
    while group.exists():
        for one in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
            with suppress(OSError):
                one.rmdir()
        with suppress(OSError):  # A process in it is still on its way out.
            group.rmdir()
        assert time.monotonic() < end, f"{group} could not be removed"


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
