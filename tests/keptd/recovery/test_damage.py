"""Damage of every kind in every region: never a wrong answer, and nothing lost that the report does not name.

A few places of each region; `make damage` does all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.damage import Kind, Sample, harm, judge

REGIONS = (
    "header",
    "schema: first page",
    "schema: leaf",
    "pointer map",
    "table: internal",
    "table: leaf, memory",
    "table: leaf, change",
    "table: leaf, decision",
    "table: leaf, session",
    "table: leaf, message",
    "table: overflow",
    "index: internal",
    "index: leaf",
    "text index: internal",
    "text index: leaf",
    "free page",
    "log: header",
    "log: frame header, earlier",
    "log: page, earlier",
    "log: frame header, last",
    "log: page, last",
)

ALWAYS_WHOLE = ("header", "schema", "pointer map", "table: internal", "index", "text index", "free page", "log: header")
"""Regions that hold no rows, so that none is lost."""


@pytest.mark.parametrize("kind", ["bit", "zeros"])
@pytest.mark.parametrize("name", REGIONS)
def test_damage_is_found_or_harmless_and_what_it_cost_is_said(
    sample: Sample, copy: Callable[[str], Path], name: str, kind: Kind
) -> None:
    places = [region for region in sample.regions() if region.name.startswith(name)]
    region = places[len(places) // 2]
    origin = "crashed" if region.file.endswith("-wal") else "clean"
    home = copy(origin)
    where = harm(home, region, kind, Random(name))
    outcome = judge(sample, home, origin)
    assert not outcome.wrong, (region.name, where, outcome.wrong[:5])
    if name != "free page":
        assert outcome.detected != "harmless", (region.name, where)
    if name.startswith(ALWAYS_WHOLE):
        assert (outcome.lost, outcome.older) == (0, 0)
        assert outcome.report is None or outcome.report.lost == "Nothing was lost."


def test_without_a_backup_what_can_be_read_comes_back(sample: Sample, copy: Callable[[str], Path]) -> None:
    home = copy("clean")
    region = next(region for region in sample.regions() if region.name == "table: leaf, decision")
    harm(home, region, "zeros", Random(1))
    outcome = judge(sample, home, "clean", backup=False)
    assert not outcome.wrong
    assert outcome.lost > 0
    assert outcome.report is not None
    assert outcome.report.backup_id is None
    assert f"{outcome.lost} lost" in outcome.report.lost


def test_with_a_backup_only_what_is_newer_than_it_is_lost(sample: Sample, copy: Callable[[str], Path]) -> None:
    home = copy("clean")
    region = next(region for region in sample.regions() if region.name == "table: leaf, decision")
    harm(home, region, "zeros", Random(1))
    outcome = judge(sample, home, "clean")
    assert not outcome.wrong
    assert outcome.report is not None
    assert outcome.report.backup_id == "20260101T000000Z-00000000"
    assert outcome.report.restored["decision"] > 0
    lost = {one.label for one in outcome.report.missing if not one.older}
    assert not lost & {str(row[1]) for row in sample.in_backup["decision"].values()}


@pytest.mark.parametrize("seed", range(6))
def test_several_damages_at_once_never_give_a_wrong_answer(
    sample: Sample, copy: Callable[[str], Path], seed: int
) -> None:
    home, random = copy("clean"), Random(seed)
    regions = [region for region in sample.regions() if not region.file.endswith("-wal")]
    for region in random.sample(regions, 6):
        harm(home, region, random.choice(("bit", "zeros")), random)
    assert not judge(sample, home, "clean").wrong
