"""No new name looks like another one for what nobody sees, and names of all scripts are taken as they are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.wire.errors import InvalidParams
from keptd.vault import names
from tests.harness import Daemon, Peer

from .room import PASSWORD, keyring

SAID = ("github", "two  words", "J\u00fcrgen", "\u00e9", "\u6771\u4eac\u3000\u99c5", "\u05e2\u05d1\u05e8\u05d9\u05ea")
JOINED = (
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, "I want"
    "\u0915\u094d\u200d\u0937",  # Devanagari, a half letter
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala, "Sri"
    "\U0001f469\u200d\U0001f4bb",  # a woman at a computer
    "\U0001f469\U0001f3fd\u200d\U0001f680",  # an astronaut, with a skin
    "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
    "\U0001f642\u200d\u2194\ufe0f",  # a shaken head
    "7\ufe0f\u20e3",  # a key
    "\u00a9\ufe0f 2024",
)
HIDDEN = {
    "a zero-width space": "\u200b",
    "a joiner": "\u200d",
    "a non-joiner": "\u200c",
    "a word joiner": "\u2060",
    "a soft hyphen": "\u00ad",
    "a byte order mark": "\ufeff",
    "a direction": "\u202e",
    "an isolate": "\u2066",
    "a mark of direction": "\u200f",
    "a tag": "\U000e0061",
    "a selector": "\ufe0f",
    "a selector of ideographs": "\U000e0101",
    "a filler": "\u3164",
    "a combining joiner": "\u034f",
    "a blank pattern": "\u2800",
    "a blank hieroglyph": "\U00013441",
    "a filler between letters": "\U00016fe4",
    "a note without a head": "\U0001d159",
    "a line's end": "\u2028",
    "a space that doesn't break": "\u00a0",
    "a thin space": "\u2009",
}

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", [*SAID, *JOINED])
def test_names_are_taken_as_scripts_and_emoji_are_written(name: str) -> None:
    names.check(name)
    assert names.cleaned(name) == name


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_what_nobody_sees_is_refused_wherever_it_is_and_left_out_of_what_is_cleaned(hidden: str) -> None:
    for name in (f"git{hidden}hub", f"{hidden}github", f"github{hidden}", hidden):
        with pytest.raises(InvalidParams) as refusal:
            names.check(name)
        assert refusal.value.data["field"] == "name"
        assert "github" not in refusal.value.message
        plain = " " if hidden.isspace() else ""
        assert names.cleaned(name) == name.replace(hidden, plain).strip()


@pytest.mark.parametrize("name", [" github", "github ", "\u3000github", "\u2029github"])
def test_white_space_around_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidParams, match="white space"):
        names.check(name)
    assert names.cleaned(name) == "github"


def test_every_format_character_is_refused_among_letters() -> None:
    formats = [
        letter for letter in map(chr, range(0x110000)) if unicodedata.category(letter) in ("Cf", "Cc", "Zl", "Zp")
    ]
    for letter in formats:
        with pytest.raises(InvalidParams):
            names.check(f"a{letter}b")


PIECES = st.sampled_from([*SAID, *JOINED, *HIDDEN.values(), "\u20e3", "\n", " ", "a", "\U0001f3fd", "\u0301"])


@given(st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=8).map("".join))
def test_what_was_cleaned_is_taken_and_stays_as_it_is(name: str) -> None:
    plain = names.cleaned(name)
    assert names.cleaned(plain) == plain
    if plain:
        names.check(plain)
    try:
        names.check(name)
    except InvalidParams:
        assert plain != name
    else:
        assert plain == name


async def test_a_new_name_must_show_and_one_that_is_there_is_found_and_kept(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(names, "check", lambda _name: None)
        await peer.result("vault.store", name="git\u200bhub ", value=1)
    await peer.result("vault.store", name="github", value=2)
    for method, params in (
        ("vault.store", {"name": "git\u200bhub", "value": 3}),
        ("vault.update", {"id": "github", "name": "github "}),
    ):
        reply = await peer.ask(method, **params)
        assert (reply["error"]["data"]["type"], reply["error"]["data"]["field"]) == ("invalid_params", "name")
    assert (await peer.result("vault.retrieve", id="git\u200bhub "))["value"] == 1
    await peer.result("vault.update", id="git\u200bhub ", name="git\u200bhub ", value=4)
    await peer.result("vault.update", id="git\u200bhub ", name="gitlab")
    assert (await peer.result("vault.retrieve", id="gitlab"))["value"] == 4


GRIN = "\U0001f600"
ALIKE = (
    (GRIN, f"{GRIN}\ufe0f"),
    (GRIN, f"{GRIN}\ufe0e"),
    ("\u2602\ufe0e", "\u2602\ufe0f"),
    (f"{GRIN}{GRIN}", f"{GRIN}\u200d{GRIN}"),
    ("\u0645\u0645", "\u0645\u200c\u0645"),
    ("\u0915\u094d\u200c", "\u0915\u094d\u200d"),
    ("a\u2010b", "a\u2011b"),
    ("a-b", "a\u2010b"),
    ("a  b", "a\u3000b"),
    ("7\u20e3", "7\ufe0f\u20e3"),
)


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_names_that_may_look_alike_the_second_is_refused(daemon: Daemon, peer: Peer, first: int) -> None:
    await peer.result("vault.store", name="other", value=0)
    for pair in ALIKE:
        one, two = pair[first], pair[1 - first]
        names.check(one)
        names.check(two)
        entry = (await peer.result("vault.store", name=one, value=1))["id"]
        for method, params in (
            ("vault.store", {"name": two, "value": 2}),
            ("vault.update", {"id": "other", "name": two}),
        ):
            error = (await peer.ask(method, **params))["error"]
            assert (error["data"]["type"], error["data"]["field"], error["data"]["id"]) == ("conflict", "name", entry)
        # It is another name all the same: it finds nothing, and may take the place of its own.
        assert await peer.refusal("vault.retrieve", id=two) == (-32001, "not_found")
        await peer.result("vault.update", id=one, name=two)
        await peer.result("vault.delete", id=two)
        await peer.result("vault.store", name=one, value=1)
        await peer.result("vault.delete", id=one)
    opened = keyring(daemon).opened
    assert opened is not None
    assert opened.contents._hidden == {}


async def test_names_that_looked_alike_before_keep_theirs(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(names, "as_seen", lambda name: name)
        for number in range(3):
            await peer.result(
                "vault.store", name=GRIN + "\ufe0f" * (number == 1) + "\ufe0e" * (number == 2), value=number
            )
    await peer.result("vault.lock")
    await peer.result("vault.unlock", password=PASSWORD)
    await peer.result("vault.update", id=f"{GRIN}\ufe0f", name=f"{GRIN}\ufe0f", value="mine")
    await peer.result("vault.delete", id=GRIN)
    assert await peer.refusal("vault.store", name=GRIN, value=1) == (-32002, "conflict")
    await peer.result("vault.update", id=f"{GRIN}\ufe0f", name="a face")
    assert await peer.refusal("vault.store", name=GRIN, value=1) == (-32002, "conflict")
    await peer.result("vault.delete", id=f"{GRIN}\ufe0e")
    await peer.result("vault.store", name=GRIN, value=1)
