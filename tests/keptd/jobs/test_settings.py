"""The jobs that rooms declare, and the settings that say when they are due."""

from __future__ import annotations

from types import ModuleType

import pytest

from keptd.config import Config, ConfigError, Jobs, load
from keptd.domain import JobCtx
from keptd.jobs.declare import collect_jobs, job
from keptd.schedule import parse
from keptd.supervisor import DOMAINS

DECLARED = [declared for domain in DOMAINS for declared in domain.jobs]


def test_every_job_has_its_setting_and_no_two_share_one() -> None:
    settings = [declared.setting for declared in DECLARED]
    assert set(settings) == set(Jobs.__struct_fields__)
    assert len(set(settings)) == len(settings)
    assert len({declared.name for declared in DECLARED}) == len(DECLARED)


def test_every_job_says_what_it_does_and_how_long_it_may_take() -> None:
    for declared in DECLARED:
        assert declared.description.endswith(".")
        assert declared.timeout > 0


def test_every_default_is_a_schedule() -> None:
    for name in Jobs.__struct_fields__:
        assert str(parse(getattr(Config().jobs, name)))


@pytest.mark.parametrize("text", ["soon", "0h", "* * * *", "", "1" * 200])
def test_a_setting_that_is_no_schedule_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, {"KEPT_JOBS_MEMORY_EXPIRE": text})
    assert (refused.value.source, refused.value.key) == ("environment", "KEPT_JOBS_MEMORY_EXPIRE")
    for words in ("30s", "cron expression", "0 3 * * *", "off"):
        assert words in refused.value.expected


def test_a_job_without_a_docstring_is_a_mistake() -> None:
    async def silent(_ctx: JobCtx) -> str:
        return ""

    with pytest.raises(TypeError, match="no docstring"):
        job("room.silent", setting="x", timeout=1)(silent)


def test_jobs_are_collected_in_the_order_of_the_source() -> None:
    module = ModuleType("room")

    @job("room.second", setting="x", timeout=1)
    async def second(_ctx: JobCtx) -> str:
        """Do it.

        At length.
        """
        return ""

    @job("room.first", setting="y", timeout=2)
    async def first(_ctx: JobCtx) -> str:
        """Do the other."""
        return ""

    vars(module).update(second=second, other=1, first=first)
    assert [(one.name, one.description, one.setting, one.timeout) for one in collect_jobs(module)] == [
        ("room.second", "Do it.", "x", 1),
        ("room.first", "Do the other.", "y", 2),
    ]
