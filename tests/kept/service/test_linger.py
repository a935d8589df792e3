"""Lingering, where nobody can give it, and where somebody else has to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kept.service import linger
from kept.wire.errors import Conflict


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_system_without_systemd_is_told_of_before_anything_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setattr(linger, "BOOTED", str(tmp_path / "none"))
    with pytest.raises(Conflict, match="not started by systemd") as refusal:
        linger.enable("keptd", {"PATH": os.environ["PATH"]}, dry_run=dry_run)
    assert "nothing needs to be enabled" in refusal.value.hint


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
