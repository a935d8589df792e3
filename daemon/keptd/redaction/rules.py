"""The kinds of credential that are looked for: one table, from which the search, its prefilter and the docs come.

Formats are those that the issuers publish or that secret scanners agree on; where an issuer says that lengths may grow,
only the least is asked for. Where two kinds meet in one place, the earlier in the table names it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from . import finders
from .finders import Finder, tokens
from .values import is_mixed


class Kind(NamedTuple):
    """A kind of credential: its name in errors, what it is, how it is found, and what a text must hold to be searched.

    Each of `runs` is part of an unbroken run of at least `RUN` token characters; each of `words` is in ASCII lower case
    and may stand anywhere. A text without any of them holds none of this kind.
    """

    name: str
    description: str
    find: Finder
    runs: tuple[bytes, ...] = ()
    words: tuple[bytes, ...] = ()


RUN = 20
"""Characters of the shortest run that is searched for tokens: that of an AWS access key id, the shortest token."""

_AWS_ID = (b"AKIA", b"ASIA", b"ABIA", b"ACCA")
_GITLAB = (b"pat", b"ptt", b"dt", b"rt", b"rtr", b"cbt", b"soat", b"imt", b"oas", b"ft", b"ffct", b"agent")
_DISCORD = (b"MT", b"Mj", b"Mz", b"ND", b"NT", b"Nj", b"Nz", b"OD", b"OT")

NAMED_SECRET = "named_secret"  # noqa: S105  # a kind, not a secret

_KINDS = (
    Kind("private_key", "A PEM, OpenSSH, PGP or PuTTY private key block", finders.private_keys, words=(b"private",)),
    Kind(
        "github_token",
        "GitHub tokens (ghp_, gho_, ghu_, ghs_, ghr_, github_pat_)",
        tokens(rb"gh[pour]_[A-Za-z0-9]{36,}+", rb"ghs_[\w.-]{36,}+", rb"github_pat_\w{60,}+"),
        runs=(b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    ),
    Kind(
        "gitlab_token",
        "GitLab tokens (glpat- and its relatives)",
        tokens(rb"gl(?:" + b"|".join(_GITLAB) + rb")-[\w.-]{20,}+", check=is_mixed),
        runs=tuple(b"gl" + name + b"-" for name in _GITLAB),
    ),
    Kind(
        "aws_access_key_id",
        "AWS access key ids (AKIA..., ASIA...)",
        tokens(*(p + rb"(?<![A-Za-z0-9]" + p + rb")[A-Z2-7]{16}(?![A-Za-z0-9])" for p in _AWS_ID)),
        runs=_AWS_ID,
    ),
    Kind(
        "aws_secret",
        "An AWS secret access key beside its name",
        tokens(
            rb"secret[ _-]?(?:access)?[ _-]?key[\"'`\\*\]>]{0,4}+\s{0,4}[:=,|]{0,2}+>?\s{0,4}[\"'`\\*]{0,3}+"
            rb"(?P<secret>[a-z0-9/+]{40})(?![a-z0-9/+=])",
            check=is_mixed,
            fold=True,
        ),
        words=(b"secret",),
    ),
    Kind("google_api_key", "Google API keys (AIza...)", tokens(rb"AIza[\w-]{35}(?![\w-])"), runs=(b"AIza",)),
    Kind(
        "google_oauth",
        "Google OAuth client secrets and access tokens (GOCSPX-, ya29.)",
        tokens(rb"GOCSPX-[\w-]{24,}+", rb"ya29\.[\w-]{30,}+"),
        runs=(b"GOCSPX-", b"ya29."),
    ),
    Kind(
        "azure_key",
        "Azure AccountKey and SharedAccessKey of a connection string",
        tokens(
            rb"accountkey\s{0,2}=\s{0,2}(?P<secret>[a-z0-9+/]{40,}+={0,2}+)",
            rb"sharedaccesskey\s{0,2}=\s{0,2}(?P<secret>[a-z0-9+/]{40,}+={0,2}+)",
            fold=True,
        ),
        words=(b"key",),
    ),
    Kind(
        "azure_sas",
        "The signature of an Azure shared access URL",
        tokens(rb"sig=(?P<secret>(?:[a-z0-9+/]|%2[bf]){40,}+(?:=|%3d))", fold=True),
        words=(b"sig=",),
    ),
    Kind(
        "slack_token",
        "Slack tokens (xoxb-, xoxp-, xapp- and others)",
        tokens(rb"xox[a-z](?:\.xox[bp])?-[\w-]{16,}+", rb"xapp-[\w-]{16,}+", check=is_mixed),
        runs=(b"xox", b"xapp-"),
    ),
    Kind(
        "slack_webhook",
        "Slack webhook URLs",
        tokens(rb"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{30,}+", check=is_mixed),
        runs=(b"hooks.slack.com/",),
    ),
    Kind(
        "stripe_key",
        "Stripe live keys (sk_live_, rk_live_)",
        tokens(rb"sk_live_[A-Za-z0-9]{16,}+", rb"rk_live_[A-Za-z0-9]{16,}+"),
        runs=(b"sk_live_", b"rk_live_"),
    ),
    Kind(
        "anthropic_key",
        "Anthropic keys and tokens (sk-ant-)",
        tokens(rb"sk-ant-[\w-]{20,}+", check=is_mixed),
        runs=(b"sk-ant-",),
    ),
    Kind(
        "openai_key",
        "OpenAI keys, and keys of the same form (sk-, sk-proj-)",
        tokens(
            rb"sk-(?<![A-Za-z0-9]sk-)(?:(?:proj|svcacct|admin|None|or-v1)-[\w-]{20,}+|[A-Za-z0-9]{32,}+)",
            check=is_mixed,
        ),
        runs=(b"sk-",),
    ),
    Kind(
        "groq_key",
        "Groq keys (gsk_)",
        tokens(rb"gsk_[A-Za-z0-9]{40,}+", check=is_mixed),
        runs=(b"gsk_",),
    ),
    Kind("xai_key", "xAI keys (xai-)", tokens(rb"xai-[A-Za-z0-9]{40,}+", check=is_mixed), runs=(b"xai-",)),
    Kind("npm_token", "npm tokens (npm_)", tokens(rb"npm_[A-Za-z0-9]{36,}+"), runs=(b"npm_",)),
    Kind("pypi_token", "PyPI tokens (pypi-)", tokens(rb"pypi-AgE[\w-]{50,}+"), runs=(b"pypi-AgE",)),
    Kind("huggingface_token", "Hugging Face tokens (hf_)", tokens(rb"hf_[A-Za-z0-9]{30,}+"), runs=(b"hf_",)),
    Kind(
        "digitalocean_token",
        "DigitalOcean tokens (dop_v1_, doo_v1_, dor_v1_)",
        tokens(rb"do[opr]_v1_[a-f0-9]{64}"),
        runs=(b"dop_v1_", b"doo_v1_", b"dor_v1_"),
    ),
    Kind("sendgrid_key", "SendGrid keys (SG.)", tokens(rb"SG\.[\w-]{16,32}+\.[\w-]{32,}+"), runs=(b"SG.",)),
    Kind(
        "twilio_key",
        "Twilio API key SIDs (SK and 32 hexadecimal digits)",
        tokens(rb"SK(?<![A-Za-z0-9_]SK)[0-9a-f]{32}(?![0-9A-Za-z])"),
        runs=(b"SK",),
    ),
    Kind(
        "telegram_token",
        "Telegram bot tokens",
        tokens(rb":AA(?<=[0-9]{8}:AA)[\w-]{33}(?![\w-])"),
        runs=(b":AA",),
    ),
    Kind("discord_token", "Discord bot tokens", finders.discord_tokens, runs=_DISCORD),
    Kind(
        "vault_token",
        "HashiCorp Vault tokens (hvs., hvb., hvr.)",
        tokens(rb"hv[bsr]\.[\w-]{24,}+", check=is_mixed),
        runs=(b"hvs.", b"hvb.", b"hvr."),
    ),
    Kind(
        "age_key",
        "age secret keys (AGE-SECRET-KEY-1)",
        tokens(rb"AGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58,}+"),
        runs=(b"AGE-SECRET-KEY-",),
    ),
    Kind("jwt", "JSON Web Tokens, signed or encrypted", finders.jwts, runs=(b"eyJ",)),
    Kind("url_password", "The password in scheme://user:password@host", finders.url_passwords, words=(b"@",)),
    Kind(
        "command_password",
        "The password in a command (curl -u, mysql -p, sshpass -p) or a netrc line",
        finders.command_passwords,
        words=(b"curl", b"mysql", b"mariadb", b"sshpass", b"login"),
    ),
    Kind(
        "authorization",
        "The credentials of an Authorization header",
        finders.authorizations,
        words=(b"authorization", b"bearer"),
    ),
    Kind(
        NAMED_SECRET,
        "A value under a name such as password, token or api_key",
        finders.assignments,
        words=finders.NAME_PARTS,
    ),
)

_TOKEN_CHARACTERS = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.:/")
_TO_CLASS = bytes(ord("w") if byte in _TOKEN_CHARACTERS else ord(" ") for byte in range(256))
_LONG_RUN = b"w" * RUN
_RUN_END = re.compile(rb"w*+")

_WORDS = tuple({word for kind in _KINDS for word in kind.words})
_MARKS = frozenset(b"_-.:/")
_PARTS = tuple((part, _MARKS.intersection(part)) for kind in _KINDS for part in kind.runs)
"""What to look for in the long runs, with its marks: a mark that is missing (base64 has none) rules out many."""


def kinds() -> tuple[Kind, ...]:
    """Every kind that is looked for; `name` and `description` are for people."""
    return _KINDS


def candidates(data: bytes, folded: bytes) -> tuple[Kind, ...]:
    """The kinds that could be in `data`, in the table's order: a cheap test that never leaves out one that is."""
    present = {word for word in _WORDS if word in folded}
    runs = _long_runs(data)
    if not present and not runs:
        return ()
    marks = {mark for mark in _MARKS if mark in runs}
    present |= {part for part, needs in _PARTS if needs <= marks and part in runs}
    return tuple(kind for kind in _KINDS if not present.isdisjoint((*kind.runs, *kind.words)))


def _long_runs(data: bytes) -> bytes:
    """The runs of token characters in `data` that are long enough for a token, joined by spaces."""
    classes = data.translate(_TO_CLASS)
    pieces = []
    at = classes.find(_LONG_RUN)
    while at >= 0:
        end = _RUN_END.match(classes, at).end()  # type: ignore[union-attr]  # it matches anywhere
        pieces.append(data[at:end])
        at = classes.find(_LONG_RUN, end)
    return b" ".join(pieces)
