"""Damage of every kind in every page: how it is found, what it costs, and that no answer is ever wrong.

For each page of a sample database and for places in its log, one bit is flipped (at `--bits` places) and the whole is
turned to zeros, each in a copy of its own. Then everything is asked, and where damage is met the next start recovers,
once with a backup and once without. Prints a line for each region; the last column has to be 0, and the exit code says
whether it is.

    python -m tests.damage_table [--bits N] [--seed N] [--only REGION] [--many N]

`--many N` adds N homes with several damages at once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import structlog

from tests.damage import Kind, Outcome, Region, Sample, harm, judge

WIDTHS = (34, 6, 6, 42, 9, 9, 6, 6, 6)
HEADS = ("region", "damage", "cases", "found", "salvaged", "backup", "older", "lost", "wrong")

Row = tuple[str, str]
Case = tuple[Row, str, list[tuple[Region, Kind]]]
"""The line it counts for, the home it is done to, and the damage."""


def single(sample: Sample, bits: int, only: str) -> Iterator[Case]:
    """Every region with every damage."""
    for region in sample.regions():
        if only in region.name:
            origin = "crashed" if region.file.endswith("-wal") else "clean"
            name = region.name.partition(",")[0]
            for _ in range(bits):
                yield (name, "bit"), origin, [(region, "bit")]
            yield (name, "zeros"), origin, [(region, "zeros")]


def several(sample: Sample, count: int, random: Random) -> Iterator[Case]:
    """Several pages of one database."""
    pages = [region for region in sample.regions() if not region.file.endswith("-wal")]
    kinds: tuple[Kind, ...] = ("bit", "zeros")
    for _ in range(count):
        damage = [(region, random.choice(kinds)) for region in random.sample(pages, random.randint(2, 12))]
        yield ("several at once", "both"), "clean", damage


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(*cells: object) -> None:
    say(" ".join(f"{cell!s:{width}}" for cell, width in zip(cells, WIDTHS, strict=True)))


def show(row: Row, outcomes: list[Outcome]) -> None:
    found = Counter(outcome.detected for outcome in outcomes)
    line(
        *row,
        len(outcomes),
        ", ".join(f"{how} {count}" for how, count in found.most_common()),
        sum(outcome.salvaged for outcome in outcomes),
        sum(outcome.restored for outcome in outcomes),
        sum(outcome.older for outcome in outcomes),
        sum(outcome.lost for outcome in outcomes),
        sum(len(outcome.wrong) for outcome in outcomes),
    )


def one(
    sample: Sample, home: Path, origin: str, damage: list[tuple[Region, Kind]], random: Random, *, backup: bool
) -> Outcome:
    """Damage a copy, and judge it."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(sample.folder / origin, home)
    where = [f"{region.name} {kind} {harm(home, region, kind, random)}" for region, kind in damage]
    outcome = judge(sample, home, origin, backup=backup)
    for wrong in outcome.wrong[:5]:
        say(f"  WRONG: {wrong} after {'; '.join(where)}{'' if backup else ' (no backup)'}")
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--bits", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--many", type=int, default=0)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="kept-damage-") as folder:
        sample, home = Sample(Path(folder) / "sample"), Path(folder) / "home"
        for backup in (True, False):
            say(f"\n{'With' if backup else 'Without'} a backup from the middle of the database's life; rows by region:")
            line(*HEADS)
            random = Random(chosen.seed)
            outcomes: dict[Row, list[Outcome]] = defaultdict(list)
            for row, origin, damage in [
                *single(sample, chosen.bits, chosen.only),
                *several(sample, chosen.many, random),
            ]:
                outcomes[row].append(one(sample, home, origin, damage, random, backup=backup))
            for row, found in outcomes.items():
                show(row, found)
                wrong += sum(len(outcome.wrong) for outcome in found)
    say(f"\nwrong answers: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
