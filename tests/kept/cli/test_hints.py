"""What to do after a refusal, in the words of the command line."""

from __future__ import annotations

import json

import pytest
from msgspec import Struct

from kept.cli.fields import fields_of
from kept.cli.hints import as_options
from kept.cli.registry import find
from kept.wire.errors import InvalidParams, KeptError, SecretFound, StorageFailed
from kept.wire.memory import SetMemory

from .typing_at import Recorder, type_in


def refused(words: str, refusal: KeptError) -> str:
    printed = type_in(words, Recorder({SetMemory: refusal}))
    assert printed.code == 1
    return printed.err


@pytest.mark.parametrize("words", ["memory set k v", "remember k v"])
def test_a_parameter_that_a_hint_names_is_told_as_the_option(words: str) -> None:
    told = refused(words, SecretFound("value holds what looks like a credential"))
    assert "--on-secret redact" in told
    assert "on_secret" not in told


def test_a_program_is_told_the_option_as_well() -> None:
    told = json.loads(refused("memory set k v --json", StorageFailed("the disk failed")))
    assert "--idempotency-key" in told["error"]["data"]["hint"]


def test_a_method_called_by_its_own_parameters_is_told_these() -> None:
    told = refused('rpc memory.set \'{"key": "k", "value": 1}\'', SecretFound("a credential"))
    assert 'on_secret="redact"' in told


def test_parameters_that_are_described_elsewhere_lead_to_help() -> None:
    told = refused("memory set k v", InvalidParams("no"))
    assert told.endswith("hint: kept memory set --help describes the arguments.\n")


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ('send on_secret="redact" to keep it', "send --on-secret redact to keep it"),
        ("priority=5, or expires_at.", "--priority 5, or --expires-at."),
        ("check the key and the scope", "check the key and the scope"),
        ("raise limits.if_version or next_if_version", "raise limits.if_version or next_if_version"),
    ],
)
def test_only_what_is_surely_a_parameter_is_told_as_an_option(hint: str, told: str) -> None:
    assert as_options(hint, find(["memory", "set"])[0].fields) == told


class Flagged(Struct):
    dry_run: bool = False


def test_a_flag_is_told_without_a_value() -> None:
    told = as_options("dry_run=true shows it, dry_run=false does it", fields_of(Flagged))
    assert told == "--dry-run shows it, --no-dry-run does it"
