"""The vault's keys: what opens what, and what is left of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptd.vault import cipher, entries, keys
from keptd.vault.entries import About
from keptd.vault.keys import FLOOR, DataKey, KdfParameters

SALT = b"s" * keys.SALT_BYTES
KEY = bytes(range(32))


@given(plain=st.binary(max_size=5000))
def test_what_is_padded_comes_back_and_tells_few_lengths(plain: bytes) -> None:
    padded = cipher.pad(plain)

    assert cipher.unpad(padded) == plain
    assert len(padded) % 64 == 0
    assert len(padded) <= 1024 or len(padded).bit_count() == 1


@given(plain=st.binary(max_size=200), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_what_is_sealed_opens_as_it_was_and_with_no_bit_changed(plain: bytes, at: int, bit: int) -> None:
    sealed = bytearray(cipher.seal(KEY, plain, b"here"))
    assert cipher.open(KEY, sealed, b"here") == plain

    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(cipher.Damaged):
        cipher.open(KEY, sealed, b"here")


def test_what_is_sealed_opens_neither_elsewhere_nor_cut_short() -> None:
    sealed = cipher.seal(KEY, b"plain", cipher.aad("v", "e", "value", 1, 1))

    for other in (("w", "e", "value", 1, 1), ("v", "f", "value", 1, 1), ("v", "e", "about", 1, 1)):
        with pytest.raises(cipher.Damaged):
            cipher.open(KEY, sealed, cipher.aad(*other))
    for numbers in ((2, 1), (1, 2)):
        with pytest.raises(cipher.Damaged):
            cipher.open(KEY, sealed, cipher.aad("v", "e", "value", *numbers))
    for length in range(len(sealed)):
        with pytest.raises(cipher.Damaged):
            cipher.open(KEY, sealed[:length], cipher.aad("v", "e", "value", 1, 1))


cuts = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted)


@given(whole=st.text("ab", min_size=4, max_size=4), first=cuts, second=cuts)
def test_no_two_places_have_the_same_binding(whole: str, first: list[int], second: list[int]) -> None:
    """Also where the texts are the same in a row, and only end elsewhere."""

    def place(cut: list[int]) -> tuple[str, str, str]:
        return whole[: cut[0]], whole[cut[0] : cut[1]], whole[cut[1] :]

    assert (cipher.aad(*place(first), 1, 1) == cipher.aad(*place(second), 1, 1)) == (place(first) == place(second))


def test_a_padded_length_that_is_not_there_is_damage() -> None:
    with pytest.raises(cipher.Damaged):
        cipher.unpad(b"\x00\x00\x00\x05abc")
    with pytest.raises(cipher.Damaged):
        cipher.unpad(b"\x00\x00")


def test_a_password_is_the_same_however_its_letters_are_put_together() -> None:
    assert keys.password_bytes("Zu\u0308rich") == keys.password_bytes("Z\u00fcrich")
    assert keys.password_bytes("a") != keys.password_bytes("A")


@pytest.mark.parametrize("weak", [KdfParameters(8, 2, 1), KdfParameters(FLOOR.memory_kib, 1, 1)])
def test_no_key_is_derived_with_parameters_below_the_floor(weak: KdfParameters) -> None:
    with pytest.raises(cipher.Damaged):
        keys.derive_kek(b"password", SALT, weak)


def test_no_key_is_derived_with_parameters_that_would_take_all_memory() -> None:
    with pytest.raises(cipher.Damaged):
        keys.derive_kek(b"password", SALT, KdfParameters(1 << 30, 2, 1))


def test_a_policy_raises_each_parameter_and_lowers_none() -> None:
    assert KdfParameters(20_000, 5, 1).raised_to(KdfParameters(30_000, 2, 4)) == KdfParameters(30_000, 5, 4)


def test_a_wrapped_key_is_bound_to_all_that_it_was_wrapped_with() -> None:
    kek, data_key = keys.derive_kek(b"password", SALT, FLOOR), bytearray(KEY)
    wrapped = keys.wrap(kek, data_key, keys.context("v", 1, SALT, FLOOR))
    assert keys.unwrap(kek, wrapped, keys.context("v", 1, SALT, FLOOR)) == KEY

    stronger = KdfParameters(FLOOR.memory_kib, FLOOR.passes + 1, FLOOR.lanes)
    others = [("w", 1, SALT, FLOOR), ("v", 2, SALT, FLOOR), ("v", 1, b"t" * 16, FLOOR), ("v", 1, SALT, stronger)]
    for other in (*others, ("v", 1, SALT, None)):
        with pytest.raises(cipher.Damaged):
            keys.unwrap(kek, wrapped, keys.context(*other))
    with pytest.raises(cipher.Damaged):
        keys.unwrap(keys.derive_kek(b"passwore", SALT, FLOOR), wrapped, keys.context("v", 1, SALT, FLOOR))


def test_what_is_wrapped_must_be_a_key() -> None:
    wrapped = cipher.seal(KEY, b"short", b"here")
    with pytest.raises(cipher.Damaged):
        keys.unwrap(KEY, wrapped, b"here")


def test_each_purpose_and_each_vault_has_a_key_of_its_own() -> None:
    here, there = DataKey("v", 1, bytearray(KEY)), DataKey("w", 1, bytearray(KEY))
    found = {bytes(key) for data in (here, there) for key in (data.secret, *data._keys.values())}

    assert len(found) == 9  # The secret is the same in both.
    assert here.name_hash("n") != there.name_hash("n")
    assert here.name_hash("Z\u00fcrich") == here.name_hash("Zu\u0308rich")


def test_a_key_that_was_wiped_is_zeros_and_does_nothing() -> None:
    key = DataKey("v", 1)
    inside = [key.secret, *key._keys.values()]
    assert all(any(part) for part in inside)

    key.wipe()

    assert key.is_wiped
    assert all(part == bytes(32) for part in inside)
    for use in (
        lambda: key.entries,
        lambda: key.name_hash("n"),
        lambda: key.head_tag(b""),
        lambda: key.request_hash(b""),
    ):
        with pytest.raises(keys.Wiped):
            use()


def test_no_nonce_is_used_twice_under_one_key() -> None:
    key = bytes(cipher.KEY_BYTES)
    assert len({cipher.seal(key, b"the same", b"bound to the same")[: cipher.NONCE_BYTES] for _ in range(1000)}) == 1000


def test_an_entry_that_is_sealed_again_shares_no_nonce_with_itself() -> None:
    about = About("n", "c", (), {}, False, 0, 0)
    data_key = DataKey("vault", 1)
    rows = [entries.seal(data_key, "entry", 1, about, b"1") for _ in range(100)]
    nonces = {sealed[: cipher.NONCE_BYTES] for row in rows for sealed in (row.about, row.value_mark)}
    assert len(nonces) == 200
