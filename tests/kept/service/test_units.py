"""The text of the units: every path comes out of systemd's quoting as it went in, and a hand's edit is noticed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.paths import BadPlace, find
from kept.service.units import is_own, name_of, rendered

HOME = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"}

_SPECIAL = st.sampled_from(" %$\"'\\{};#:=@")
"""What systemd gives a meaning to: among all of Unicode it would hardly ever be tried."""

PATHS = st.text(_SPECIAL | st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12)


def units(executable: str = "/usr/bin/python3", **environ: str) -> tuple[str, str]:
    environ = {**HOME, **environ}
    service, socket = rendered(find(environ, lambda _: True), environ, executable)
    return service.text, socket.text


def unquoted(word: str) -> str:
    """As systemd.syntax(7) reads a quoted word, and systemd.unit(5) its specifiers."""
    whole = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', word)
    assert whole, f"{word} is more than one word, or less"
    return specified(re.sub(r"\\(.)", r"\1", whole[1]))


def specified(text: str) -> str:
    """Without specifiers but for that of the percent sign itself."""
    return re.sub("%(.)", lambda found: {"%": "%"}[found[1]], text)


def value(text: str, key: str) -> str:
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}="))


def test_the_default_home_needs_nothing_but_the_interpreter() -> None:
    service, socket = units("/opt/kept/bin/python")
    assert 'ExecStart=:"/opt/kept/bin/python" -P -m keptd\n' in service
    assert 'ExecReload=:"/opt/kept/bin/python" -P -m kept daemon reload\n' in service
    assert "Environment=" not in service
    assert value(socket, "ListenStream") == "%t/kept/keptd.sock"


@given(PATHS)
def test_every_path_arrives_at_the_daemon_as_it_is(name: str) -> None:
    home = f"/h/{name}x"
    try:
        service, socket = units(f"{home}/bin/python", KEPT_HOME=home)
    except BadPlace:
        assert len(home.encode()) > 80 or not home.isprintable()
        return
    command = value(service, "ExecStart").removeprefix(":").removesuffix(" -P -m keptd")
    places = find({"KEPT_HOME": home})
    assert unquoted(command) == f"{home}/bin/python"
    assert unquoted(value(service, "Environment")) == f"KEPT_HOME={home}"
    assert specified(value(socket, "ListenStream")) == places.socket


@pytest.mark.parametrize("home", ["/h/a\nExecStart=/bin/sh", "/h/\x1b[31m", "/h/back\\", "/h/space "])
def test_a_path_that_no_unit_can_hold_is_refused(home: str) -> None:
    with pytest.raises(BadPlace, match="Use another place"):
        units(home)


def test_what_decides_about_places_is_carried_and_settings_are_not() -> None:
    service, _ = units(XDG_DATA_HOME="/data", KEPT_LOG_LEVEL="debug")
    assert 'Environment="XDG_DATA_HOME=/data"\n' in service
    assert "KEPT_LOG_LEVEL" not in service


def test_two_homes_have_two_names_and_each_its_own_socket() -> None:
    environs = [
        HOME,
        {**HOME, "KEPT_HOME": "/h/work"},
        {**HOME, "KEPT_HOME": "/g/work"},
        {**HOME, "KEPT_SOCKET": "/s/s"},
    ]
    names = [name_of(find(environ, lambda _: True), environ) for environ in environs]
    assert names[0] == "keptd"
    assert len(set(names)) == 4
    service, _ = units(KEPT_HOME="/h/work")
    assert f"After={names[1]}.socket\n" in service
    assert "keptd.socket" not in service


def test_a_text_is_kepts_own_until_somebody_edits_it() -> None:
    service, _ = units()
    assert is_own(service)
    assert not is_own(service.replace("WatchdogSec=120", "WatchdogSec=7"))
    assert not is_own(service.partition("[Unit]")[2])
