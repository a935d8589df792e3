from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.paths import SOCKET_PATH_BYTES, BadPlace, Paths, find


def always(_: str) -> bool:
    return True


def never(_: str) -> bool:
    return False


def test_without_any_variable_the_defaults_of_the_xdg_specification_hold() -> None:
    paths = find({"HOME": "/home/ada"}, always)
    assert paths.socket == "/home/ada/.local/state/kept/run/keptd.sock"
    assert paths.runtime_dir == "/home/ada/.local/state/kept/run"
    assert paths.database == "/home/ada/.local/share/kept/kept.db"
    assert paths.backups == "/home/ada/.local/share/kept/backups"
    assert paths.log == "/home/ada/.local/state/kept/keptd.log"
    assert paths.config_file == "/home/ada/.config/kept/config.toml"


def test_each_xdg_variable_moves_its_own_place() -> None:
    paths = find(
        {"XDG_RUNTIME_DIR": "/r", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}, always
    )
    assert paths == Paths(
        socket="/r/kept/keptd.sock", data_dir="/d/kept", state_dir="/s/kept", config_file="/c/kept/config.toml"
    )


@pytest.mark.parametrize("value", ["", "relative", "./here", "~/there"])
def test_an_xdg_value_that_is_not_absolute_counts_as_unset(value: str) -> None:
    names = ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    assert find({"HOME": "/h", **dict.fromkeys(names, value)}, always) == find({"HOME": "/h"}, always)


def test_a_runtime_folder_that_cannot_be_used_gives_way_to_the_state_folder() -> None:
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert find(environment, always).socket == "/run/user/1000/kept/keptd.sock"
    assert find(environment, never).socket == "/h/.local/state/kept/run/keptd.sock"


def test_a_runtime_folder_counts_only_while_it_exists(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": str(folder)}
    assert find(environment).socket == "/h/.local/state/kept/run/keptd.sock"
    folder.mkdir()
    assert find(environment).socket == f"{folder}/kept/keptd.sock"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_runtime_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, -1)
    assert find({"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path)}).socket == "/h/.local/state/kept/run/keptd.sock"


def test_kept_home_moves_everything_below_one_folder() -> None:
    paths = find({"KEPT_HOME": "/k/", "HOME": "/h", "XDG_RUNTIME_DIR": "/r", "XDG_DATA_HOME": "/d"}, always)
    assert paths == Paths(socket="/k/run/keptd.sock", data_dir="/k", state_dir="/k", config_file="/k/config.toml")


def test_kept_socket_names_the_socket_and_moves_nothing_else() -> None:
    plain = find({"KEPT_HOME": "/k"})
    named = find({"KEPT_HOME": "/k", "KEPT_SOCKET": "/s/other.sock"})
    assert (named.socket, named.runtime_dir) == ("/s/other.sock", "/s")
    assert (named.data_dir, named.state_dir, named.config_file) == (plain.data_dir, plain.state_dir, plain.config_file)


@pytest.mark.parametrize("name", ["KEPT_HOME", "KEPT_SOCKET"])
def test_a_relative_place_is_refused_by_the_name_of_its_variable(name: str) -> None:
    with pytest.raises(BadPlace, match=name):
        find({"HOME": "/h", name: "here"})


def test_without_a_home_folder_the_variables_to_set_are_named() -> None:
    with pytest.raises(BadPlace, match="KEPT_HOME"):
        find({})


def test_a_socket_path_may_have_107_bytes_and_not_one_more() -> None:
    longest = "/" + "x" * (SOCKET_PATH_BYTES - 1)
    assert find({"HOME": "/h", "KEPT_SOCKET": longest}).socket == longest
    with pytest.raises(BadPlace, match="KEPT_SOCKET"):
        find({"HOME": "/h", "KEPT_SOCKET": longest + "x"})


def test_the_length_of_a_socket_path_is_counted_in_bytes() -> None:
    with pytest.raises(BadPlace, match="108 bytes"):
        find({"HOME": "/h", "KEPT_SOCKET": "/x" + "é" * 53})


def test_paths_cannot_be_changed() -> None:
    paths = find({"KEPT_HOME": "/k"})
    with pytest.raises(AttributeError):
        paths.socket = "/elsewhere"
    with pytest.raises(AttributeError):
        del paths.socket
    assert hash(paths) == hash(find({"KEPT_HOME": "/k"}))


@pytest.mark.parametrize("name", ["KEPT_HOME", "KEPT_SOCKET", "HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"])
def test_a_place_that_is_not_utf_8_is_refused_because_no_reply_could_name_it(name: str) -> None:
    with pytest.raises(BadPlace, match="UTF-8"):
        find({"HOME": "/h", name: os.fsdecode(b"/bad\xff")}, always)


@given(
    st.dictionaries(
        st.sampled_from(["HOME", "KEPT_HOME", "KEPT_SOCKET", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_STATE_HOME"]),
        st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: "/" + text),
    )
)
def test_every_place_is_absolute_whatever_the_environment_holds(environment: dict[str, str]) -> None:
    try:
        paths = find(environment, always)
    except BadPlace:
        return
    for place in (paths.socket, paths.runtime_dir, paths.data_dir, paths.state_dir, paths.config_file):
        assert os.path.isabs(place)


def test_it_imports_nothing_that_a_bare_interpreter_has_not_loaded() -> None:
    program = "import sys; before = set(sys.modules); import kept.paths; print(*sorted(set(sys.modules) - before))"
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    loaded = done.stdout.split()
    assert loaded == ["__future__", "kept", "kept.paths"]


@pytest.mark.parametrize(("mode", "is_used"), [(0o700, True), (0o755, True), (0o777, False), (0o770, False)])
def test_a_runtime_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int, is_used: bool) -> None:
    tmp_path.chmod(mode)
    found = find({"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path)})
    assert found.runtime_dir == (f"{tmp_path}/kept" if is_used else "/h/.local/state/kept/run")


def test_a_runtime_folder_that_all_distributions_share_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path)}
    # The file system of the one is that of the other.
    monkeypatch.setattr("kept.paths._OF_ALL_DISTRIBUTIONS", str(tmp_path.parent))
    assert find(environment).runtime_dir == "/h/.local/state/kept/run"
    monkeypatch.setattr("kept.paths._OF_ALL_DISTRIBUTIONS", "/proc")
    assert find(environment).runtime_dir == f"{tmp_path}/kept"
