"""Lingering, where nobody can give it, and where somebody else has to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kept.cli import main
from kept.paths import find
from kept.service import Service, changes, linger
from kept.service.units import rendered
from kept.wire.errors import Conflict


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_system_without_systemd_is_told_of_before_anything_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setattr(linger, "BOOTED", str(tmp_path / "none"))
    with pytest.raises(Conflict, match="not started by systemd") as refusal:
        linger.enable("keptd", {"PATH": os.environ["PATH"]}, dry_run=dry_run)
    assert "nothing needs to be changed" in refusal.value.hint


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What loginctl was asked for, on a system of systemd's whose logind keeps managers of nobody yet."""
    asked = tmp_path / "asked"
    program = tmp_path / "loginctl"
    program.write_text(f'#!/bin/sh\necho "$@" >>"{asked}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(linger, "BOOTED", str(tmp_path))
    monkeypatch.setattr(linger, "_LINGERING", str(tmp_path / "linger"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    asked.touch()
    return asked


def lingers(folder: Path) -> None:
    (folder / "linger").mkdir()
    (folder / "linger" / linger.user()).touch()


def test_what_enables_lingering_has_a_counterpart_that_says_what_it_means(asked: Path) -> None:
    assert linger.disable("keptd", dict(os.environ), dry_run=False).is_nothing
    change = linger.enable("keptd", dict(os.environ), dry_run=False)
    assert "kept daemon disable-linger undoes it" in change.notes[0]
    lingers(asked.parent)
    assert linger.enable("keptd", dict(os.environ), dry_run=False).is_nothing
    assert linger.disable("keptd", dict(os.environ), dry_run=True).commands == (
        f"loginctl disable-linger {linger.user()}",
    )
    change = linger.disable("keptd", dict(os.environ), dry_run=False)
    assert "ends with your last session" in change.notes[0]
    assert asked.read_text().splitlines() == [f"{verb}-linger {linger.user()}" for verb in ("enable", "disable")]


def test_disabling_says_nothing_was_to_be_done_and_how_it_is(
    asked: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT_HOME", str(home))
    assert main(["daemon", "disable-linger"]) == 0
    assert capsys.readouterr().out.endswith(": your services end with your last session, as is usual\n")
    lingers(asked.parent)
    assert main(["daemon", "disable-linger"]) == 0
    assert f"ran: loginctl disable-linger {linger.user()}\n" in capsys.readouterr().out


def test_removing_the_service_leaves_lingering_and_says_so(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    paths = find(environ)
    changes.write(rendered(paths, environ, sys.executable), changes.folder(environ))
    lingers(tmp_path)
    change = Service(paths, environ).uninstall(force=False, dry_run=True)
    assert "your services still run from boot on; kept daemon disable-linger ends that" in change.notes
    assert asked.read_text() == ""


@pytest.mark.parametrize(("uid", "means"), [(0, "systemctl status systemd-logind"), (1000, "sudo loginctl")])
def test_only_who_is_no_administrator_is_sent_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, means: str
) -> None:
    program = tmp_path / "loginctl"
    program.write_text("#!/bin/sh\necho one line >&2\necho and the other >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(linger, "BOOTED", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Conflict, match="failed: one line and the other") as refusal:
        linger.enable("keptd", dict(os.environ), dry_run=False)
    assert means in refusal.value.hint
