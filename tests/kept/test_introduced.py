"""A KEPT_AGENT that can't be a name is refused by its own name, whoever finds that out."""

from __future__ import annotations

import pytest

from kept.introduced import BadAgent, hello_of, introducing
from kept.wire.daemon import Hello
from kept.wire.errors import Denied, SecretFound

AGENT = {"KEPT_AGENT": "claude"}


def found(field: str) -> SecretFound:
    return SecretFound(f"{field} holds what looks like a credential", field=field, kind="github_token")


@pytest.mark.parametrize("environ", [{}, {"KEPT_AGENT": ""}])
def test_a_person_says_nothing(environ: dict[str, str]) -> None:
    assert hello_of(environ) is None


@pytest.mark.parametrize("name", ["claude", "ü", "x" * 200])
def test_an_agent_says_its_name(name: str) -> None:
    assert hello_of({"KEPT_AGENT": name}) == Hello(client=name, kind="agent")


@pytest.mark.parametrize("name", ["canary" * 50, "canary\n", "canary\x1b", "canary\udcff"])
def test_what_is_no_name_is_refused_with_the_variable_its_limit_and_the_next_step(name: str) -> None:
    with pytest.raises(BadAgent) as refused:
        hello_of({"KEPT_AGENT": name})
    told = f"{refused.value} {refused.value.step}"
    for part in ("KEPT_AGENT", "1 to 200 characters", "unset it"):
        assert part in told
    assert "canary" not in told


def test_a_name_that_looks_like_a_credential_is_told_as_that() -> None:
    with pytest.raises(BadAgent, match=r"KEPT_AGENT holds .*github_token"), introducing(AGENT):
        raise found("client")


@pytest.mark.parametrize(
    ("environ", "refusal"), [({}, found("client")), (AGENT, found("value")), (AGENT, Denied("not for agents"))]
)
def test_other_refusals_stay_what_they_are(environ: dict[str, str], refusal: Exception) -> None:
    with pytest.raises(type(refusal)), introducing(environ):
        raise refusal
