"""Credentials are found and masked wherever they stand in a call; ordinary text passes.

Every credential here is built at run time from a seed, so that the source holds nothing that looks like one.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import random
import re
import string
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.wire import component, context, event, journal, memory
from kept.wire.journal import AddDecision, LogAction
from kept.wire.memory import SetMemory
from keptd.redaction import Finding, finders, kinds, mask_call, scan_call, scan_text

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
WORDY = ALNUM + "_-"


def some(alphabet: str, length: int, seed: int = 1) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def block(label: str, seed: int = 1) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(random.Random(seed).randbytes(300)).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----"


def jwt(header: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    return ".".join((encoded(header), encoded(b'{"sub":"1234567890"}'), some(WORDY, 43)))


RAW_40 = "aB3/" + some(ALNUM + "+/", 36)
RAW_64 = base64.b64encode(random.Random(5).randbytes(64)).decode()
RAW_32 = base64.b64encode(random.Random(6).randbytes(32)).decode()
PASSPHRASE = "hunter2" * 2

SHAPES: list[tuple[str, str]] = [
    *(
        ("private_key", block(label + "PRIVATE KEY" + tail))
        for label in ("", "RSA ", "EC ", "DSA ", "ENCRYPTED ", "OPENSSH ", "PGP ")
        for tail in ((" BLOCK",) if label == "PGP " else ("",))
    ),
    ("private_key", block("PRIVATE KEY").replace("\n", "\\n")),
    ("private_key", block("RSA PRIVATE KEY").split("-----END")[0].strip()),
    ("private_key", "Private-Lines: 2\n" + some(ALNUM, 64) + "\n" + some(ALNUM, 40)),
    *(("github_token", f"gh{letter}_" + some(ALNUM, 36)) for letter in "pousr"),
    ("github_token", "ghs_" + "123456_" + jwt()),
    ("github_token", "github_" + "pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59)),
    ("gitlab_token", "glpat" + "-" + some(WORDY, 20)),
    ("gitlab_token", "glpat" + "-" + some(WORDY, 27) + ".01." + some(ALNUM.lower(), 9)),
    ("aws_access_key_id", "AK" + "IA" + some("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
    ("aws_access_key_id", "AS" + "IA" + some("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
    ("aws_secret", "aws_secret_access_key = " + RAW_40),
    ("aws_secret", '"SecretAccessKey": "' + RAW_40 + '"'),
    ("aws_secret", "Secret access key " + RAW_40),
    ("google_api_key", "AI" + "za" + some(WORDY[:-1], 35)),
    ("google_oauth", "GOC" + "SPX-" + some(WORDY, 28)),
    ("google_oauth", "ya" + "29." + some(WORDY, 80)),
    ("azure_key", "DefaultEndpointsProtocol=https;AccountName=kept;Account" + "Key=" + RAW_64 + ";EndpointSuffix=x"),
    ("azure_key", "Endpoint=sb://x.net/;SharedAccessKeyName=Root;SharedAccess" + "Key=" + RAW_32),
    ("azure_sas", "https://x.blob.core.windows.net/c?sv=2024&sig=" + RAW_32.replace("+", "%2B").replace("=", "%3D")),
    ("slack_token", "xo" + "xb-123456789012-1234567890123-" + some(ALNUM, 24)),
    ("slack_token", "xa" + "pp-1-A0123456789-1234567890123-" + some(HEX, 64)),
    ("slack_webhook", "https://hooks.slack.com/" + "services/T0AB12CD3/B0AB12CD3/" + some(ALNUM, 24)),
    ("stripe_key", "sk_" + "live_" + some(ALNUM, 24)),
    ("stripe_key", "rk_" + "live_" + some(ALNUM, 99)),
    ("anthropic_key", "sk-" + "ant-api03-" + some(WORDY, 93) + "AA"),
    ("openai_key", "sk-" + some(ALNUM, 48)),
    ("openai_key", "sk-" + "proj-" + some(WORDY, 120)),
    ("groq_key", "gs" + "k_" + some(ALNUM, 52)),
    ("xai_key", "xa" + "i-" + some(ALNUM, 80)),
    *(("command_password", f"curl -sS {option}admin:{PASSPHRASE} https://x") for option in ("-u ", "-u", "--user ")),
    ("command_password", f"curl https://x --proxy-user=admin:{PASSPHRASE}"),
    ("command_password", "curl -u " + "admin:" + "swordfish" + " https://x"),
    ("command_password", f"mysqldump -u root -p{PASSPHRASE} shop"),
    ("command_password", f'mariadb -p"{PASSPHRASE}" shop'),
    ("command_password", f"sshpass -p {PASSPHRASE} ssh host"),
    ("command_password", f"sshpass -p'{PASSPHRASE}' ssh host"),
    ("command_password", f"machine x.example.org login kept password {PASSPHRASE}"),
    ("command_password", f"machine x.example.org\n  login kept\n  password {PASSPHRASE}"),
    ("npm_token", "np" + "m_" + some(ALNUM, 36)),
    ("pypi_token", "py" + "pi-AgEIcHlwaS5vcmc" + some(WORDY, 140)),
    ("huggingface_token", "h" + "f_" + some(string.ascii_letters, 34)),
    ("digitalocean_token", "dop" + "_v1_" + some(HEX, 64)),
    ("sendgrid_key", "S" + "G." + some(WORDY, 22) + "." + some(WORDY, 43)),
    ("twilio_key", "S" + "K" + some(HEX, 32)),
    ("telegram_token", "1234567890" + ":AA" + some(WORDY, 32) + "x"),
    ("discord_token", encoded(b"123456789012345678") + ".Gh1" + some(ALNUM, 3) + "." + some(WORDY, 38)),
    ("vault_token", "hv" + "s." + some(WORDY, 95)),
    ("age_key", "AGE-SECRET-" + "KEY-1" + some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
    ("jwt", jwt()),
    ("jwt", jwt(b'{"typ":"JWT","alg":"none"}')),
    ("jwt", encoded(b'{"alg":"dir","enc":"A256GCM"}') + f"..{some(WORDY, 16)}.{some(WORDY, 40)}.{some(WORDY, 22)}"),
    ("url_password", "postgres://kept:" + "s3cr3tpw" + "@db.internal:5432/kept"),
    ("url_password", "redis://:" + "s3cr3tpw" + "@cache:6379/0"),
    ("url_password", "mongodb+srv://admin:" + "p%40ssw0rd" + "@cluster0.x.mongodb.net"),
    ("url_password", "amqp://kept:" + "kept" + "@rabbit.prod.example.net"),
    ("authorization", "Authorization: Bearer " + some(ALNUM, 40)),
    ("authorization", f"curl -H 'authorization: Basic {base64.b64encode(b'kept:' + PASSPHRASE.encode()).decode()}'"),
    ("authorization", "the bearer " + some(ALNUM, 40) + " was used"),
    ("named_secret", f'password = "{PASSPHRASE}"'),
    ("named_secret", f"password: str = '{PASSPHRASE}'"),
    ("named_secret", f"DB_PASS={PASSPHRASE}"),
    ("named_secret", f"export API_KEY={some(HEX, 32)}"),
    ("named_secret", f"api key: {some(ALNUM, 24)}"),
    ("named_secret", f'config["clientSecret"] = `{some(ALNUM, 24)}`'),
    ("named_secret", f'{{\\"auth_token\\": \\"{some(ALNUM, 24)}\\"}}'),
    ("named_secret", f"Server=db;User Id=kept;Password={PASSPHRASE};"),
    ("named_secret", f"<password>{PASSPHRASE}</password>"),
    ("named_secret", f"**Password**: {PASSPHRASE}"),
    ("named_secret", f'secret = "so they said secret={some(ALNUM, 20)} to me"'),
]

CLEAN = [
    "The password is kept in the vault; passwords, tokens and secrets never reach a log. Ask for a token: it is free.",
    "password: required, 8 to 64 characters, at least one digit",
    'password = os.environ["DB_PASSWORD_2"]',
    "password = settings.db2.password1",
    "token = secrets.token_hex(16)",
    "api_key = load_key2(path)",
    "self.token2 = tokens[0]",
    "PASSWORD=$DB_PASSWORD API_KEY=${API_KEY} TOKEN=%API_TOKEN%",
    "password: {{ vault.db_password }} and api_key: <your-api-key-1>",
    'API_KEY="your-api-key-here-123" and SECRET_KEY="changeme123"',
    'password: "********" token: "xxxxxxxxxxxx1"',
    "postgres://user:password@localhost/db and postgres://kept:***@db/x and https://u:${PASS}@h and x://u:%s@h",
    "postgres://postgres:postgres@localhost:5432/app",
    "http://localhost:8080/a@b and ssh://git@github.com:22/x and see https://example.com:443/@me, mail a:b@c.de",
    "token: OAuth2Token = parse(); token = r'[^\\W\\d]\\w*[0-9]'; publicKeyToken=\"1fc8b3b9a1e18e3b\"",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b fixes it; sha256:" + some(HEX, 64),
    "password_hash = " + some(HEX, 64) + " token_count: 123456789 secret_name: db-main-2024",
    "cache key: 018f3c2e-7b1a-7c3d-9e4f-0123456789ab primary_key = id12345678",
    "token: 018f3c2e-7b1a-7c3d-9e4f-0123456789ab",
    "next_page_token: " + some(ALNUM, 40),
    "key: /etc/ssl/private/server1.key, private key: ~/.ssh/id_ed25519, secret: /run/secrets/db_1",
    "password: $2b$12$" + some(ALNUM, 53),
    "data:image/png;base64," + base64.b64encode(random.Random(9).randbytes(4096)).decode(),
    base64.urlsafe_b64encode(random.Random(10).randbytes(4096)).decode(),
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9 is the header alone; eyJabc.def.ghi is nothing",
    encoded(b'{"kind":"no token at all"}') + "." + some(WORDY, 30) + "." + some(WORDY, 43),
    encoded(b"12 is no account i") + "." + some(ALNUM, 6) + "." + some(WORDY, 38),
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY----- is how a key starts.",
    block("CERTIFICATE"),
    block("PUBLIC KEY"),
    "ghp_" + "x" * 36 + " stands for a token, as does AKIAIOSFODNN7EXAMPLE and sk-ant-api03-your-key-goes-here-1234",
    "sk-circle-fade-dot-12 sk-learn-contrib-extra-long-name npm_config_registry hf_hub_download_with_a_long_name",
    "ASIA AND EUROPE; SKIP; MTU 1500; class TaskRunnerWithAVeryLongName; glft-and-other-abbreviations-in-a-row",
    "Authorization: Bearer <token>; Authorization: Basic authentication; bearer authentication-scheme-of-the-web",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "curl -u user:password https://x; curl -u $USER:$PASS https://x; docker run -u 1000:1000 image; ps -u root:",
    "mysql -u root -p shop; mysql -ppassword; mysql runs -particularly when; ssh -p2222 host; mkdir -p/tmp/a1",
    "sshpass -p $PASS ssh host; sshpass -p <password> ssh; the login and password are asked; login with password only",
    "gsk_tree_view_with_a_rather_long_name_that_is_none xai-explainable-artificial-intelligence-for-all-of-us",
    "keyboard: qwertz1; monkey: banana99; hockey = puck12345; tokens: 12345678; password:",
]

SECRETS = st.sampled_from([text for _, text in SHAPES])


def action(value: Any) -> LogAction:
    return LogAction(action="did", details=value)


@pytest.mark.parametrize(("kind", "text"), SHAPES, ids=[f"{i}-{kind}" for i, (kind, _) in enumerate(SHAPES)])
def test_each_known_shape_is_found_and_named_in_running_text(kind: str, text: str) -> None:
    for around in ("{}", "Note: {} (so it is)", "größer → {} ✓", "a\n{}\nb", "'{}'"):
        found = scan_text(around.format(text))
        assert [name for name, _, _ in found] == [kind]
        assert "[redacted " in mask_call(action(around.format(text))).details


def test_every_kind_is_tested_and_described() -> None:
    assert {kind for kind, _ in SHAPES} == {kind.name for kind in kinds()}
    assert len({kind.name for kind in kinds()}) == len(kinds())
    assert all(kind.description for kind in kinds())


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_text_passes(text: str) -> None:
    assert scan_text(text) == []


def test_the_docstrings_of_the_wire_and_this_source_pass() -> None:
    for module in (component, context, event, journal, memory):
        assert scan_text(inspect.getsource(module)) == []
    for source in Path(inspect.getfile(scan_text)).parent.glob("*.py"):
        assert scan_text(source.read_text()) == []
    assert scan_text(Path(__file__).read_text()) == []


def test_offsets_count_characters_and_the_rest_of_the_text_stays() -> None:
    text = "→ ü: " + jwt() + " ✓ " + RAW_40.join(("secret_access_key=", " ende"))
    (first, second) = scan_text(text)
    assert text[first[1] : first[2]] == jwt()
    assert text[second[1] : second[2]] == RAW_40
    masked = mask_call(action(text)).details
    assert masked == "→ ü: [redacted jwt] ✓ secret_access_key=[redacted aws_secret] ende"


def test_a_secret_inside_another_is_one_finding_that_covers_both() -> None:
    token = "gh" + "p_" + some(ALNUM, 36)
    (found,) = scan_text(f"password = '{token}/and-1-more'")
    assert found[0] == "github_token"
    assert mask_call(action(f"password = '{token}/and-1-more'")).details == "password = '[redacted github_token]'"


def test_two_secrets_side_by_side_are_two_findings() -> None:
    url = "postgres://kept:" + "s3cr3tpw" + "@db/x"
    assert [kind for kind, _, _ in scan_text(f"{url} {jwt()} {url}")] == ["url_password", "jwt", "url_password"]


def test_a_token_follows_a_broken_one() -> None:
    assert [kind for kind, _, _ in scan_text("eyJhbGciOiJub3RoaW5nIGhlcmU." + jwt())] == ["jwt"]
    assert [kind for kind, _, _ in scan_text("-----BEGIN PRIVATE KEY-----\n" + block("PRIVATE KEY"))] == ["private_key"]


def test_a_service_account_is_found_through_its_private_key() -> None:
    text = msgspec.json.encode({"type": "service_account", "private_key": block("PRIVATE KEY") + "\n"}).decode()
    (found,) = scan_text(text)
    assert found[0] == "private_key"


def test_a_path_names_the_place_of_a_finding() -> None:
    call = AddDecision(decision="d", reasoning=jwt(), alternatives=("none", jwt()))
    assert [finding.field for finding in scan_call(call)] == ["reasoning", "alternatives[1]"]
    call2 = SetMemory(key="k", value={"db": [{"url": jwt()}], 'odd "key"': jwt()}, tags=("a", "b", jwt()))
    assert [f.field for f in scan_call(call2)] == ["value.db[0].url", "value{key}", "tags[2]"]


def test_a_dictionary_key_that_is_a_secret_is_found_and_masked_and_its_path_does_not_show_it() -> None:
    call = action({"a": {jwt(): {"x": jwt()}}})
    assert scan_call(call) == [
        Finding("details.a{key}", "jwt", 0, len(jwt())),
        Finding("details.a{key}.x", "jwt", 0, len(jwt())),
    ]
    assert mask_call(call).details == {"a": {"[redacted jwt]": {"x": "[redacted jwt]"}}}


def test_a_key_that_is_a_secret_and_reads_like_a_plain_name_does_not_show_in_a_path() -> None:
    key = "AK" + "IA" + some("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
    assert [finding.field for finding in scan_call(action({key: {"n": jwt()}}))] == ["details{key}", "details{key}.n"]


def test_the_mark_of_a_masked_secret_names_nothing() -> None:
    mark = "[redacted github_token]"
    assert scan_call(action({mark: "correct horse battery", "text": f"{mark}: {PASSPHRASE}"})) == []


def test_masked_keys_that_become_equal_keep_all_entries() -> None:
    keys = ["gh" + "p_" + some(ALNUM, 36, seed) for seed in range(3)]
    mark = "[redacted github_token]"
    masked = mask_call(action({keys[0]: 0, mark: 1, keys[1]: 2, keys[2]: 3, f"{mark} (3)": 4})).details
    assert masked == {f"{mark} (2)": 0, mark: 1, f"{mark} (4)": 2, f"{mark} (5)": 3, f"{mark} (3)": 4}


@pytest.mark.parametrize(
    "name", ["password", "api_key", "apiKey", "X-Auth-Token", "client secret", "DB_PASS", "password2"]
)
def test_a_value_under_a_name_that_means_a_secret_is_one(name: str) -> None:
    call = action({name: "correct horse battery"})
    assert [(f.kind, f.start, f.end) for f in scan_call(call)] == [("named_secret", 0, 21)]
    assert mask_call(call).details == {name: "[redacted named_secret]"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "short"),
        ("password", "<password>"),
        ("password", "vault:db/main"),
        ("api_key", "${API_KEY}"),
        ("token", "xxxxxxxxxxxx"),
        ("password", "$2b$12$" + some(ALNUM, 53)),
        ("password_hash", "correct horse battery"),
        ("key", "correct horse battery"),
        ("token_count", "correct horse battery"),
        ("password", 12345678901),
        ("password", None),
    ],
)
def test_a_placeholder_or_a_name_that_only_mentions_a_secret_passes(name: str, value: Any) -> None:
    call = action({name: value})
    assert scan_call(call) == []
    assert mask_call(call) == call


def test_an_entry_whose_key_names_a_secret_is_an_assignment() -> None:
    (found,) = scan_call(SetMemory(key="prod/db_password", value=PASSPHRASE))
    assert found == Finding("value", "named_secret", 0, len(PASSPHRASE))
    assert mask_call(SetMemory(key="prod/db_password", value=PASSPHRASE)).value == "[redacted named_secret]"
    assert scan_call(SetMemory(key="db_password", value="kept in the vault as entry 12")) == []


def test_the_idempotency_key_is_not_looked_at() -> None:
    key = "gh" + "p_" + some(ALNUM, 36)
    assert scan_call(LogAction(action="did", idempotency_key=key)) == []
    assert mask_call(LogAction(action="did", idempotency_key=key)).idempotency_key == key


LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, Any]:
    """A secret, and a value that holds it somewhere: as a text's part, in a list, or in a key."""
    secret = draw(SECRETS)
    before, after = draw(st.sampled_from(["", "see ", "ß\n", "{"])), draw(st.sampled_from(["", " there", "\n", "}"]))
    tree: Any = before + secret + after
    for step in draw(st.lists(st.sampled_from(["list", "dict", "key"]), max_size=4)):
        if step == "list":
            tree = [*draw(st.lists(TREES, max_size=2)), tree]
        elif step == "key" and isinstance(tree, str):
            tree = {tree: draw(TREES)}
        else:
            tree = {**draw(st.dictionaries(st.text(max_size=5), TREES, max_size=2)), "at": tree}
    return secret, tree


@settings(deadline=None, max_examples=150)
@given(planted())
def test_a_secret_planted_anywhere_is_found_and_masking_leaves_none(case: tuple[str, Any]) -> None:
    _, tree = case
    call = action(tree)
    found = scan_call(call)
    assert found
    masked = mask_call(call)
    assert scan_call(masked) == []
    assert mask_call(masked) == masked
    assert len(msgspec.json.encode(masked)) > 0
    decoded = msgspec.json.decode(msgspec.json.encode(call), type=LogAction)
    assert scan_call(decoded) == found


@settings(deadline=None, max_examples=150)
@given(planted())
def test_no_finding_holds_any_of_the_text(case: tuple[str, Any]) -> None:
    secret, tree = case
    findings = scan_call(action(tree))
    assert {finding.kind for finding in findings} <= {kind.name for kind in kinds()}
    told = " ".join(finding.field for finding in findings)
    (_, start, end) = scan_text(secret)[0]
    assert not any(secret[i : i + 6] in told for i in range(start, end - 5))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(SECRETS, st.sampled_from(CLEAN), st.text(max_size=20)), max_size=5).map(" ".join))
def test_findings_are_in_order_without_overlap_and_masking_is_idempotent(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()  # a call's text has no lone surrogates
    at = 0
    for _, start, end in scan_text(text):
        assert at <= start < end <= len(text)
        at = end
    masked = mask_call(action(text))
    assert scan_call(masked) == []
    assert mask_call(masked) == masked


@pytest.mark.parametrize(
    "piece",
    ["a", "eyJ", "eyJhbGciOiJIUzI1NiJ9.", "://", "://a:", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "key=", 'key="',
     "key='key=\"key=`", 'secret="a ', "password: ", "sk-", "ghs_", ":AA", "sig=%2b", "authorization: bearer ", "xox"],
)  # fmt: skip
def test_repeated_beginnings_of_secrets_are_read_to_the_end(piece: str) -> None:
    text = piece * (100_000 // len(piece)) + "\n" * 500 + "gh" + "p_" + some(ALNUM, 36)
    assert scan_text(text)[-1] == ("github_token", len(text) - 40, len(text))


def patterns() -> Iterator[re.Pattern[bytes]]:
    """Every pattern that the search runs over a whole text."""
    for name, item in vars(finders).items():
        if name != "_NAME":  # it runs over some forty bytes
            yield from (part for part in (item if isinstance(item, tuple) else (item,)) if isinstance(part, re.Pattern))
    for kind in kinds():
        yield from inspect.getclosurevars(kind.find).nonlocals.get("compiled", ())


def unbounded(parsed: Any) -> bool:
    """Whether a repetition without a limit may give back what it took: what makes matching worse than linear."""
    parser = importlib.import_module("re._parser")
    for operation, argument in parsed:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] is parser.MAXREPEAT:
            return True
        parts = argument[1] if name == "BRANCH" else argument if isinstance(argument, tuple) else (argument,)
        if any(unbounded(part) for part in parts if isinstance(part, parser.SubPattern)):
            return True
    return False


def test_no_pattern_can_backtrack_without_bound() -> None:
    parse = importlib.import_module("re._parser").parse
    assert unbounded(parse(b"a(?:b|c(d+)e)"))
    seen = list(patterns())
    assert len(seen) > 30
    assert [pattern.pattern for pattern in seen if unbounded(parse(pattern.pattern))] == []


def test_the_judged_values_grow_in_step_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = 0

    def judge(data: bytes, part: int, name_end: int, start: int, end: int, quoted: bool) -> bool:
        nonlocal judged
        judged += end - max(0, part - 40)
        return False

    monkeypatch.setattr(finders, "_assigns_secret", judge)
    for piece in (
        "key='key=\"key=`",
        'secret="a 1 ',
        "password: ",
        "token=",
        "secret=\"secret='secret=`",
        "key:key=12345678",
    ):
        costs = []
        for size in (10_000, 40_000):
            judged = 0
            scan_text(piece * (size // len(piece)))
            costs.append(judged)
        assert costs[1] <= 5 * costs[0] + 1000
