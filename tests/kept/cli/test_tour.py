"""The tour, and the history that it records."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from kept.cli.moments import History, Moment, read
from kept.cli.tour import Check, Tally, Tour, _works
from kept.wire.journal import Action, Decision, LogAction
from kept.wire.memory import Memory

from .test_process import kept

GIT = pytest.mark.skipif(not shutil.which("git"), reason="apt install git")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Forty commits, one of them with a credential in its subject and one without a subject."""
    settings = {"user.name": "A", "user.email": "a@example.org", "commit.gpgsign": "false"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def git(*words: str) -> None:
        subprocess.run(["git", *options, "-C", str(tmp_path), *words], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    for number in range(38):
        git("commit", "-q", "--allow-empty", "-m", f"change {number} \x1f with \t odd 日本 text\n\nbody")
    git("commit", "-q", "--allow-empty", "-m", "add token ghp_012345678901234567890123456789abcdef")
    git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    return tmp_path


@GIT
def test_a_history_is_the_newest_commits_oldest_first(repository: Path) -> None:
    found = read(repository, 39)
    assert (found.kind, found.remark, len(found.moments)) == ("commits", "", 39)
    assert found.moments[0].text == "change 1 with odd 日本 text"
    assert found.moments[-1].text == "(no subject)"
    assert len({moment.name for moment in found.moments}) == 39


@GIT
def test_a_folder_without_commits_gives_its_files_and_says_so(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "no").touch()
    (tmp_path / "b").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c").touch()
    found = read(tmp_path, 10)
    assert "no git history" in found.remark
    assert [moment.name for moment in found.moments] == ["b", "a/c"]
    assert len(read(tmp_path, 1).moments) == 1


def test_without_git_the_files_are_recorded_and_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a").touch()
    found = read(tmp_path, 10)
    assert found.remark.startswith("git is not installed")
    assert [moment.name for moment in found.moments] == ["a"]


def test_the_writers_share_the_history_and_each_write_has_a_key_of_its_own() -> None:
    moments = tuple(Moment(f"{number}", "", f"text {number}") for number in range(10))
    works = _works(History(moments, "commits"), Path("/some/folder"))
    logs = [call for work in works for call in work if isinstance(call, LogAction)]
    assert sorted(call.details["name"] for call in logs) == sorted(moment.name for moment in moments)
    assert len({call.idempotency_key for call in logs}) == 10
    assert all(call.on_secret == "redact" for call in logs)
    assert all(work for work in works)
    assert all(work for work in _works(History((), "files"), Path("/")))


@GIT
def test_the_tour_finds_every_acknowledged_write_after_a_kill(repository: Path, tmp_path: Path) -> None:
    before = {path.name for path in Path(tempfile.gettempdir()).glob("kept-tour-*")}
    done = kept(tmp_path / "home", "tour", str(repository))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2. 4 writers record 40 commits" in done.stdout
    assert "5. 47 of 47 acknowledged writes are there, 0 of them twice" in done.stdout
    assert "Nothing that was acknowledged is lost." in done.stdout
    assert "## Done lately" in done.stdout
    assert "ghp_0123" not in done.stdout
    assert not (tmp_path / "home").exists()
    assert {path.name for path in Path(tempfile.gettempdir()).glob("kept-tour-*")} <= before


@GIT
def test_the_tour_fails_when_something_acknowledged_is_missing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kept.cli import main

    honest = Tour.check

    def robbed(tour: Tour, tally: Tally) -> Check:
        for kind in (Action, Memory, Decision):
            place, entity = next(found for found in enumerate(tally.acknowledged) if isinstance(found[1], kind))
            fields = {name: getattr(entity, name) for name in entity.__struct_fields__}
            tally.acknowledged[place] = kind(**{**fields, "id": "gone"})
        return honest(tour, tally)

    monkeypatch.setattr(Tour, "check", robbed)
    monkeypatch.setenv("KEPT_HOME", str(tmp_path / "home"))
    assert main(["tour", str(repository), "--json", "--commits", "8"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["writes"], told["acknowledged"], told["missing"], told["twice"]) == (15, 15, 3, 0)


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert kept(tmp_path, "tour", str(tmp_path / "nothing")).returncode == 2


def test_a_write_that_is_refused_is_told_and_ends_no_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kept.cli import main

    def works(*_: object) -> list[list[LogAction]]:
        return [[LogAction(action="a" * 70_000)], [LogAction(action="fine", details={"name": "fine"})]]

    monkeypatch.setattr("kept.cli.tour._works", works)
    monkeypatch.setenv("KEPT_HOME", str(tmp_path / "home"))
    assert main(["tour", str(tmp_path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["writes"], told["acknowledged"], told["missing"]) == (2, 1, 0)
    assert len(told["failures"]) == 1
    assert "writer-1" in told["failures"][0]
