"""The vault's ciphers give what their standards say, by the public examples of those who made them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kept.wire.vault_import import INDEX
from keptd.clock import to_micros
from keptd.vault import cipher, file_vault, keys
from keptd.vault.keys import KdfParameters

ENCRYPT: tuple[tuple[str, str, str, str, str, str], ...] = (
    (
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ),
    (
        "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
        "d79cf22d504cc793c3fb6c8a",
        "",
        "b96baa8c1c75a671bfb2d08d06be5f36",
        "",
        "3e5d486aa2e30b22e040b85723a06e76",
    ),
    (
        "82c4f12eeec3b2d3d157b0f992d292b237478d2cecc1d5f161389b97f999057a",
        "7b40b20f5f397177990ef2d1",
        "982a296ee1cd7086afad976945",
        "",
        "ec8e05a0471d6b43a59ca5335f",
        "113ddeafc62373cac2f5951bb9165249",
    ),
    (
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "",
        "fa4362189661d163fcd6a56d8bf0405a",
        "d636ac1bbedd5cc3ee727dc2ab4a9489",
    ),
    (
        "24501ad384e473963d476edcfe08205237acfd49b5b8f33857f8114e863fec7f",
        "9ff18563b978ec281b3f2794",
        "27f348f9cdc0c5bd5e66b1ccb63ad920ff2219d14e8d631b3872265cf117ee86757accb158bd9abb3868fdc0d0b074b5f01b2c",
        "adb5ec720ccf9898500028bf34afccbcaca126ef",
        "eb7cb754c824e8d96f7c6d9b76c7d26fb874ffbf1d65c6f64a698d839b0b06145dae82057ad55994cf59ad7f67c0fa5e85fab8",
        "bc95c532fecc594c36d1550286a7a3f0",
    ),
    (
        "148579a3cbca86d5520d66c0ec71ca5f7e41ba78e56dc6eebd566fed547fe691",
        "b08a5ea1927499c6ecbfd4e0",
        "9d0b15fdf1bd595f91f8b3abc0f7dec927dfd4799935a1795d9ce00c9b879434420fe42c275a7cd7b39d638fb81ca52b49dc41",
        (
            "e4f963f015ffbb99ee3349bbaf7e8e8e6c2a71c230a48f9d59860a29091d2747e01a5ca572347e247d25f56ba7ae8e05cde2be3c"
            "97931292c02370208ecd097ef692687fecf2f419d3200162a6480a57dad408a0dfeb492e2c5d"
        ),
        "2097e372950a5e9383c675e89eea1c314f999159f5611344b298cda45e62843716f215f82ee663919c64002a5c198d7878fd3f",
        "adbecdb0d5c2224d804d2886ff9a5760",
    ),
)
"""Key, IV, plaintext, AAD, ciphertext, tag, in hexadecimal. NIST's CAVP, gcmtestvectors.zip, gcmEncryptExtIV256.rsp
(CAVS 14.0): the first of six groups with an IV of 96 bits and a tag of 128."""

DECRYPT: tuple[tuple[str, str, str, str, str, str | None], ...] = (
    (
        "f5a2b27c74355872eb3ef6c5feafaa740e6ae990d9d48c3bd9bb8235e589f010",
        "58d2240f580a31c1d24948e9",
        "",
        "",
        "15e051a5e4a5f5da6cea92e2ebee5bac",
        "",
    ),
    (
        "6dfdafd6703c285c01f14fd10a6012862b2af950d4733abb403b2e745b26945d",
        "3749d0b3d5bacb71be06ade6",
        "",
        "c0d249871992e70302ae008193d1e89f",
        "4aa4cc69f84ee6ac16d9bfb4e05de500",
        "",
    ),
    (
        "a71dac1377a3bf5d7fb1b5e36bee70d2e01de2a84a1c1009ba7448f7f26131dc",
        "c5b60dda3f333b1146e9da7c",
        "43af49ec1ae3738a20755034d6",
        "",
        "6f80b6ef2d8830a55eb63680a8dff9e0",
        "5b87141335f2becac1a559e05f",
    ),
    (
        "4c8ebfe1444ec1b2d503c6986659af2c94fafe945f72c1e8486a5acfedb8a0f8",
        "473360e0ad24889959858995",
        "d2c78110ac7e8f107c0df0570bd7c90c",
        "",
        "c26a379b6d98ef2852ead8ce83a833a7",
        "7789b41cb3ee548814ca0b388c10b343",
    ),
    (
        "6450d4501b1e6cfbe172c4c8570363e96b496591b842661c28c2f6c908379cad",
        "7e4262035e0bf3d60e91668a",
        "5a99b336fd3cfd82f10fb08f7045012415f0d9a06bb92dcf59c6f0dbe62d433671aacb8a1c52ce7bbf6aea372bf51e2ba79406",
        "f1c522f026e4c5d43851da516a1b78768ab18171",
        "fe93b01636f7bb0458041f213e98de65",
        "17449e236ef5858f6d891412495ead4607bfae2a2d735182a2a0242f9d52fc5345ef912dbe16f3bb4576fe3bcafe336dee6085",
    ),
    (
        "5f72046245d3f4a0877e50a86554bfd57d1c5e073d1ed3b5451f6d0fc2a8507a",
        "ea6f5b391e44b751b26bce6f",
        "0e6e0b2114c40769c15958d965a14dcf50b680e0185a4409d77d894ca15b1e698dd83b3536b18c05d8cd0873d1edce8150ecb5",
        (
            "9b3a68c941d42744673fb60fea49075eae77322e7e70e34502c115b6495ebfc796d6290807653c6b53cd84281bd0311656d0013f"
            "44619d2748177e99e8f8347c989a7b59f9d8dcf00f31db0684a4a83e037e8777bae55f799b0d"
        ),
        "fdaaff86ceb937502cd9012d03585800",
        "b0a881b751cc1eb0c912a4cf9bd971983707dbd2411725664503455c55db25cdb19bc669c2654a3a8011de6bf7eff3f9f07834",
    ),
    (
        "e5a8123f2e2e007d4e379ba114a2fb66e6613f57c72d4e4f024964053028a831",
        "51e43385bf533e168427e1ad",
        "",
        "",
        "38fe845c66e66bdd884c2aecafd280e6",
        None,
    ),
    (
        "2c392a5eb1a9c705371beda3a901c7c61dca4d93b4291de1dd0dd15ec11ffc45",
        "0723fb84a08f4ea09841f32a",
        "",
        "140be561b6171eab942c486a94d33d43",
        "aa0e1c9b57975bfc91aa137231977d2c",
        None,
    ),
    (
        "8b37c4b8cf634704920059866ad96c49e9da502c63fca4a3a7a4dcec74cb0610",
        "cb59344d2b06c4ae57cd0ea4",
        "66ab935c93555e786b775637a3",
        "",
        "d8733acbb564d8afaa99d7ca2e2f92a9",
        None,
    ),
    (
        "c997768e2d14e3d38259667a6649079de77beb4543589771e5068e6cd7cd0b14",
        "835090aed9552dbdd45277e2",
        "9f6607d68e22ccf21928db0986be126e",
        "",
        "f32617f67c574fd9f44ef76ff880ab9f",
        None,
    ),
    (
        "e9d381a9c413bee66175d5586a189836e5c20f5583535ab4d3f3e612dc21700e",
        "23e81571da1c7821c681c7ca",
        "a25f3f580306cd5065d22a6b7e9660110af7204bb77d370f7f34bee547feeff7b32a596fce29c9040e68b1589aad48da881990",
        "6f39c9ae7b8e8a58a95f0dd8ea6a9087cbccdfd6",
        "5b6dcd70eefb0892fab1539298b92a4b",
        None,
    ),
    (
        "e36aca93414b13f5313e76a7244588ee116551d1f34c32859166f2eb0ac1a9b7",
        "e9e701b1ccef6bddd03391d8",
        "5b059ac6733b6de0e8cf5b88b7301c02c993426f71bb12abf692e9deeacfac1ff1644c87d4df130028f515f0feda636309a24d",
        (
            "6a08fe6e55a08f283cec4c4b37676e770f402af6102f548ad473ec6236da764f7076ffd41bbd9611b439362d899682b7b0f839fc"
            "5a68d9df54afd1e2b3c4e7d072454ee27111d52193d28b9c4f925d2a8b451675af39191a2cba"
        ),
        "43c7c9c93cc265fc8e192000e0417b5b",
        None,
    ),
)
"""Key, IV, ciphertext, AAD, tag, plaintext; None where the file says FAIL. From the same archive, gcmDecrypt256.rsp."""


@pytest.mark.parametrize(("key", "nonce", "plain", "aad", "sealed", "tag"), ENCRYPT)
def test_what_nist_encrypts_is_sealed_to_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, key: str, nonce: str, plain: str, aad: str, sealed: str, tag: str
) -> None:
    monkeypatch.setattr(os, "urandom", lambda length: bytes.fromhex(nonce)[:length])
    done = cipher.seal(bytes.fromhex(key), bytes.fromhex(plain), bytes.fromhex(aad))
    assert done.hex() == nonce + sealed + tag
    assert cipher.open(bytes.fromhex(key), done, bytes.fromhex(aad)) == bytes.fromhex(plain)


@pytest.mark.parametrize(("key", "nonce", "sealed", "aad", "tag", "plain"), DECRYPT)
def test_what_nist_decrypts_opens_and_what_it_refuses_is_refused(
    key: str, nonce: str, sealed: str, aad: str, tag: str, plain: str | None
) -> None:
    whole = bytes.fromhex(nonce + sealed + tag)
    if plain is not None:
        assert cipher.open(bytes.fromhex(key), whole, bytes.fromhex(aad)) == bytes.fromhex(plain)
        return
    with pytest.raises(cipher.Damaged):
        cipher.open(bytes.fromhex(key), whole, bytes.fromhex(aad))


def test_argon2id_is_the_one_of_its_rfc() -> None:
    # RFC 9106, 5.3: 32 KiB, 3 passes, 4 lanes, with a secret and associated data. Below the vault's floor.
    argon = Argon2id(salt=b"\2" * 16, length=32, iterations=3, lanes=4, memory_cost=32, secret=b"\3" * 8, ad=b"\4" * 12)
    assert argon.derive(b"\1" * 32).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


def test_a_password_becomes_the_key_that_the_reference_gives() -> None:
    # github.com/P-H-C/phc-winner-argon2, src/test.c, Argon2id, version 0x13: t = 2, m = 2^16 KiB, p = 1.
    derived = keys.derive_kek(b"password", b"somesalt", KdfParameters(64 * 1024, 2, 1))
    assert derived.hex() == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"


HKDF_CASES = (
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
)
"""Input, salt, info and output: RFC 5869, A.1 to A.3, with SHA-256."""


@pytest.mark.parametrize(("secret", "salt", "info", "output"), HKDF_CASES)
def test_hkdf_is_the_one_of_its_rfc(secret: str, salt: str, info: str, output: str) -> None:
    hkdf = HKDF(hashes.SHA256(), len(output) // 2, salt=bytes.fromhex(salt), info=bytes.fromhex(info))
    assert hkdf.derive(bytes.fromhex(secret)).hex() == output


def test_the_code_s_key_is_expanded_as_the_rfc_says() -> None:
    # RFC 5869, 2.2 and 2.3, for one block.
    code, salt = bytes(range(32)), b"s" * keys.SALT_BYTES
    extracted = hmac.digest(salt, code, hashlib.sha256)
    expanded = hmac.digest(extracted, b"kept vault 1 recovery code\1", hashlib.sha256)
    assert keys.derive_code_kek(code, salt) == expanded


NODE_PASSWORD = "korrekt häst"
NODE_INDEX = (
    "AQEBAQEBAQEBAQEBAQEBAUc1wTe8wh+x8/VI/6OcYfipSAS/JkBP346wbD3TtWt+SoPQC6DlmXUb/k7MZXZxuIovHqUCvKC14H3xRLmB"
    "h1dmGIlxTF6btBBBftupAPwF/yJGI5/2EFkS9Q/mj8AYN5bzuHuj5AW4Kn6sAoN7OSdqEfqP1g8KAwEeN7q6AoLpxzhAaJaeNocgULc1"
    "ql3mxI0pW9tjmi4nK94Rhlr6OCVa/5zp0VJtJSWgXP92OYwpf/wQF0fzBZfoUlKlpXgB8aqXNTy2qn5zxqwOZ2FrRQTpyz3N33FEqfJd"
    "rVdLN0PqFUG3T5CtKEcqbpKfCra/B1c9fIBS9DvUQlekauSGk+Wi2+H6PMGQPQ=="
)
NODE_ENTRY = (
    "AgICAgICAgICAgICAgICAoh+UQU5d4tq5mWNfFw1tjWEtFYQe2mzb0oZg+3uko+7aC3mR81294O7pIcMw74/LZyClclnprZ76n+RXS8n"
    "ljvGworzXuUE3oEV1vqmkx5aXcgCom/6W8ZEpdm279Qlpk3OKMgsISYZMG+jZ+HT8QBKzcO9SLnIMIAiKK+YgT+96HTy0FBcysdGZ/fO"
    "EPoQS4iYGd5e1OAZbDv3xUofLlKfc71aEKKMmYShO2gaoQXEjNmvYi1okTE8aJLQAc1VeHHnwu0UFG7qw+TaSmreOMjRZUkp09VMlZ83"
    "OLy5g7Rd2k3TSBCOxy0/MZt/hoGgyROcDyBWYhhDXEETRKxh3k6wjVX1a8b+72GQaqU="
)
"""Made with Node's crypto module, by the steps of ActiveMirrorOS's vault.js."""


def test_a_vault_of_files_that_node_has_written_is_read() -> None:
    files = {INDEX: base64.b64decode(NODE_INDEX), "health_goal.vault": base64.b64decode(NODE_ENTRY)}
    ((entry,), unread) = file_vault.read(NODE_PASSWORD, files)
    assert unread == []
    assert (entry.name, json.loads(entry.value)) == ("health_goal", {"run": "marathon", "km": 42.195})
    assert (entry.category, entry.tags, entry.metadata) == ("private", ("sport",), {})
    assert entry.created_at == to_micros(datetime(2024, 1, 15, 10, tzinfo=UTC))
    assert entry.updated_at == to_micros(datetime(2024, 1, 16, 10, tzinfo=UTC))
