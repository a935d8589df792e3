"""What of a command that was typed is logged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.typed import CHARACTERS, MASK, mask, read
from kept.wire.errors import SecretFound
from kept.wire.journal import ListActions, LogAction

from .typing_at import OverTheWire, Recorder, type_in

SECRETS = [
    *("mysql -pSECRET9 db", "mysql -u root -phunter2 db", "mysql --password=hunter2 db", "mariadb-dump -p'a b' x"),
    *("curl -u user:pw x", "curl -sSu 'user:hunter2' x", "curl --user=user:hunter2 x", "http -a user:hunter2 x"),
    *("export TOKEN=hunter2", "TOKEN=abcdefgh make", 'export DB_PASSWORD="two words"', "env API_KEY=k make"),
    *("curl -H 'Authorization: Bearer abc' x", "curl -H 'X-Api-Key: abc' x", 'curl -H "Cookie: a=b" x'),
    *("PGPASSWORD=hunter2 psql", "docker login -u me -p hunter2", "sshpass -p pw ssh x", "redis-cli -a hunter2"),
    *("openssl rsa -passin pass:hunter2 -in k", "echo hunter2 | sudo -S ls", "psql postgres://u:hunter2@h/d"),
    *("wget --http-password hunter2 x", "htpasswd -b f user hunter2", "smbclient -U user%hunter2 //h/s"),
    *("ldapsearch -w hunter2", "aws configure set aws_secret_access_key abc", "vault login abc", "mongosh -p pw"),
    *("set -gx TOKEN hunter2", "kubectl create secret generic x --from-literal=password=hunter2", "zip -P pw a b"),
    *("kept vault unlock hunter2", "kept vault retrieve mail", 'kept rpc vault.store \'{"value": "hunter2"}\''),
    *("7z a -phunter2 x", "git clone https://hunter2@github.com/x", "gh auth login --with-token <<< hunter2"),
    *(
        'curl -d \'{"password": "hunter2"}\' x',
        'curl -d "{\\"api_key\\": \\"hunter2\\"}" x',
        "DB_PASSWORD_PROD=hunter2 make",
    ),
]


@pytest.mark.parametrize("command", SECRETS)
def test_what_stands_where_a_secret_stands_is_masked_whatever_it_looks_like(command: str) -> None:
    masked = mask(command)
    assert masked.count(MASK) == 1
    kept, _, rest = masked.partition(MASK)
    assert command.startswith(kept)
    assert command.endswith(rest)
    assert not [secret for secret in ("hunter2", "SECRET9", "two words", "abc") if secret in masked]


@pytest.mark.parametrize(
    "command",
    [
        *("git commit -m 'fix the token parser'", "ls -p x", "docker run -p 80:80 nginx", "cat key.pem", "ssh -p 22 h"),
        *("grep -r password src", 'curl -H "Authorization: Bearer $T" x', "mysql -u root -p db", "TOKEN=$OTHER make"),
        *("export PATH=$PATH:/x", "git push https://github.com/x/y", "make test", "echo done | sort"),
        *("kept vault unlock", "kept rpc vault.lock", "kept vault list"),
    ],
)
def test_what_is_no_secret_stays(command: str) -> None:
    assert mask(command) == command


def test_a_shell_tells_several_commands_and_what_is_no_such_thing_is_passed_over() -> None:
    text = "0\n12\n/a\nmake test\x1e1\n\n/b\nfalse\nsecond line\x1enonsense\x1e-1\n\n/c\nx\x1e0\n1\n/d\n  \x1e"
    assert [(each.command, each.details) for each in read(text)] == [
        ("make test", {"shell": True, "exit_status": 0, "folder": "/a", "duration_ms": 12}),
        ("false\nsecond line", {"shell": True, "exit_status": 1, "folder": "/b"}),
    ]


@given(st.text())
def test_anything_can_be_read(text: str) -> None:
    for each in read(f"0\n1\n/\n{text}\x1e{text}"):
        assert 0 < len(each.command) <= CHARACTERS * (len(MASK) + 1)


def test_what_looks_like_a_credential_is_masked_by_the_daemon_and_never_refused() -> None:
    recorder = Recorder()
    assert type_in("shell-log", recorder, stdin="0\n1\n/\nmake\x1e").code == 0
    assert recorder.last == LogAction(
        action="make",
        details={"shell": True, "exit_status": 0, "folder": "/", "duration_ms": 1},
        on_secret="redact",
    )
    refusing = Recorder({LogAction: SecretFound("it has no room for a mask")})
    assert type_in("shell-log", refusing, stdin="0\n1\n/\nmake\x1e0\n1\n/\nmake\x1e").code == 0
    assert len(refusing.calls) == 2


def test_it_becomes_an_action(rooms: OverTheWire) -> None:
    type_in("shell-log", rooms, stdin="7\n\n/home\nmysql -phunter2 db\x1e")
    (action,) = rooms(ListActions()).items
    assert action.action == f"mysql -p{MASK} db"
    assert action.details == {"shell": True, "exit_status": 7, "folder": "/home"}


def test_each_command_goes_with_a_key_of_its_own_so_that_it_can_be_sent_again() -> None:
    key = "0123456789abcdef" * 2
    recorder = Recorder()
    for _ in range(2):
        told = "0\n\n/\nmake\x1e0\n\n/\nmake test\x1e"
        assert type_in(f"shell-log --key {key}", recorder, stdin=told).code == 0
    keys = [call.idempotency_key for call in recorder.calls if isinstance(call, LogAction)]
    assert keys == [f"{key}-0", f"{key}-1"] * 2
