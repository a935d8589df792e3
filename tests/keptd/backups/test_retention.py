"""What is thinned out, and what never is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keptd.backups.retention import KEPT, Kept, thin
from keptd.clock import DAY

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, the first moment of a day
HOUR = DAY // 24


def automatic(name: str, age: int, *, verified: bool = True, rows: int = 100) -> Kept:
    return Kept(name, NOW - age, True, verified, rows)


def manual(name: str, age: int, *, verified: bool = True, rows: int = 100) -> Kept:
    return Kept(name, NOW - age, False, verified, rows)


def staying(backups: list[Kept], now: int = NOW) -> list[Kept]:
    leaving = set(thin(backups, now))
    return [backup for backup in backups if backup.id not in leaving]


def days(count: int, each: int = DAY) -> list[Kept]:
    return [automatic(f"{number}", number * each + HOUR) for number in range(count)]


def test_all_of_a_day_stay() -> None:
    assert thin([automatic(f"{hour}", hour * HOUR) for hour in range(24)], NOW) == []


def test_one_of_each_day_stays_for_a_week() -> None:
    hourly = [automatic(f"{hour}", hour * HOUR) for hour in range(7 * 24)]
    kept = [backup for backup in staying(hourly) if NOW - backup.created_at >= DAY]
    assert len({backup.created_at // DAY for backup in kept}) == len(kept)
    assert all((backup.created_at + HOUR) % DAY == 0 or NOW - backup.created_at == DAY for backup in kept)
    assert len(kept) in (6, 7)


def test_one_of_each_week_stays_for_thirty_days_and_none_longer() -> None:
    kept = staying(days(120))
    old = [backup for backup in kept if NOW - backup.created_at >= 7 * DAY]
    assert len(old) in (3, 4)
    assert len({backup.created_at // (7 * DAY) for backup in old}) == len(old)
    assert all(NOW - backup.created_at < KEPT for backup in kept)


def test_years_of_daily_backups_never_keep_fewer_or_more_than_that() -> None:
    kept: list[Kept] = []
    for number in range(400):
        now = NOW + number * DAY
        kept.append(Kept(f"{number}", now, True, True, 100))
        leaving = set(thin(kept, now))
        kept = [backup for backup in kept if backup.id not in leaving]
        assert all(now - backup.created_at <= KEPT for backup in kept)
        if number > 40:
            assert 10 <= len(kept) <= 13
            assert max(now - backup.created_at for backup in kept) >= 21 * DAY


def test_what_somebody_asked_for_goes_by_age_alone() -> None:
    asked = [manual(f"m{number}", number * 3 * DAY + HOUR) for number in range(20)]
    kept = {backup.id for backup in staying(asked)}
    assert kept == {f"m{number}" for number in range(10)}


def test_a_failed_or_unchecked_backup_replaces_none() -> None:
    assert thin([automatic("good", 3 * DAY), automatic("bad", 3 * DAY - HOUR, verified=False)], NOW) == []
    assert (
        thin([automatic("good", 40 * DAY), *(automatic(f"{n}", n * DAY, verified=False) for n in range(7))], NOW) == []
    )


def test_a_much_smaller_backup_replaces_none() -> None:
    backups = [
        automatic("good", 3 * DAY - HOUR),
        automatic("small", 3 * DAY - 2 * HOUR, rows=49),
        automatic("now", 0, rows=49),
    ]
    assert thin(backups, NOW) == []
    assert thin([automatic("good", 3 * DAY - HOUR), automatic("half", 3 * DAY - 2 * HOUR, rows=50)], NOW) == ["good"]
    weeks = [automatic(f"{number}", number * DAY, rows=10) for number in range(60)]
    assert "good" not in thin([automatic("good", 61 * DAY), *weeks], NOW)


def test_a_clock_that_jumped_ahead_wipes_nothing() -> None:
    kept = staying(days(60))
    later = NOW + 3650 * DAY
    new = Kept("new", later, True, True, 100)
    after = staying([*kept, new], later)
    assert len(after) >= 5
    # Back in time, the one from the future stays, and the others go on as before.
    assert new in staying(after, NOW + DAY)
    assert len(staying(after, NOW + DAY)) >= 5


def test_a_backup_from_the_future_is_never_deleted_and_deletes_none_of_the_present() -> None:
    present = days(7)
    future = [Kept(f"future {number}", NOW + number * 100 * DAY, True, True, 100) for number in range(1, 4)]
    assert thin([*present, *future], NOW) == thin(present, NOW) == []


names = st.uuids().map(str)
backups = st.lists(
    st.builds(
        Kept,
        names,
        st.integers(-90 * 24, 20 * 24).map(lambda hours: NOW + hours * HOUR),
        st.booleans(),
        st.booleans(),
        st.integers(0, 1000),
    ),
    max_size=60,
    unique_by=lambda backup: backup.id,
)
moments = st.integers(-100, 4000).map(lambda hours: NOW + hours * HOUR)


@given(backups, moments)
def test_what_leaves_leaves_a_better_one_behind(found: list[Kept], now: int) -> None:
    kept = staying(found, now)
    for backup in found:
        if backup not in kept:
            assert any(
                better.created_at >= backup.created_at and better.is_verified and 2 * better.rows >= backup.rows
                for better in kept
            )


@given(backups, moments)
def test_the_newest_verified_stays_and_so_does_all_of_the_last_day(found: list[Kept], now: int) -> None:
    kept = staying(found, now)
    verified = [backup for backup in found if backup.is_verified]
    if verified:
        newest = max(verified, key=lambda backup: (backup.created_at, backup.id))
        assert newest in kept
    assert {backup for backup in found if backup.created_at > now - DAY} <= set(kept)


@given(backups, moments, st.booleans(), st.integers(0, 49))
def test_one_more_that_is_bad_or_small_takes_no_good_one_away(
    found: list[Kept], now: int, is_small: bool, rows: int
) -> None:
    good = [backup._replace(rows=100, is_verified=True) for backup in found]
    bad = Kept("bad", now, True, is_small, rows)
    kept = set(staying(good, now))
    assert kept <= {backup for backup in staying([*good, bad], now) if backup.id != "bad"}


@given(backups, moments)
def test_thinning_again_deletes_nothing_more(found: list[Kept], now: int) -> None:
    assert thin(staying(found, now), now) == []


@given(backups, moments, st.randoms())
def test_the_order_in_which_they_are_listed_does_not_matter(found: list[Kept], now: int, dice: object) -> None:
    shuffled = list(found)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert thin(shuffled, now) == thin(found, now)
