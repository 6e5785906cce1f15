"""Tokens with roles: what each role may do, and that a faulty file is named, not guessed."""

import hashlib
from pathlib import Path

import pytest

from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.supervisor.admin_tokens import AdminTokens
from edge.support.errors import ConfigurationError

VIEW, OPERATE = "v" * 20, "o" * 20
HASHED = "s" * 20


def settings(**admin: str) -> Settings:
    lines = "".join(f"  {key}: {value}\n" for key, value in admin.items())
    return parse_settings(
        "secret_keys_env: K\nupstream: {url: 'http://127.0.0.1:9'}\n"
        f"admin:\n  listen: tcp://127.0.0.1:0\n{lines}"
        "rooms: [{name: a, match: {paths: ['/a']}, capacity: {admissions_per_second: 1}}]\n"
    )


def tokens(tmp_path: Path, text: str) -> AdminTokens:
    (tmp_path / "tokens").write_text(text)
    found = AdminTokens()
    found.use(settings(tokens_file="tokens"), tmp_path, {})
    return found


def test_each_token_has_its_role(tmp_path: Path):
    digest = hashlib.sha256(HASHED.encode()).hexdigest()
    known = tokens(tmp_path, f"# people\n\nview board {VIEW}\noperate ann {OPERATE}\nadmin root sha256:{digest}\n")
    roles = {}
    for token in (VIEW, OPERATE, HASHED):
        caller = known.caller(f"Bearer {token}")
        assert caller is not None
        roles[caller.name] = [role for role in ("view", "operate", "admin") if caller.may(role)]  # type: ignore[arg-type]
    assert roles == {"board": ["view"], "ann": ["view", "operate"], "root": ["view", "operate", "admin"]}


@pytest.mark.parametrize("sent", ["", VIEW, f"Basic {VIEW}", "Bearer", f"Bearer {VIEW}x", "Bearer \udcff", "Bearer é"])
def test_anything_else_opens_nothing(tmp_path: Path, sent: str):
    assert tokens(tmp_path, f"view board {VIEW}\n").caller(sent) is None


def test_the_environment_and_the_file_count_together(tmp_path: Path):
    (tmp_path / "tokens").write_text(f"view board {VIEW}\n")
    known = AdminTokens()
    known.use(settings(tokens_file="tokens", token_env="T"), tmp_path, {"T": OPERATE})
    assert [known.caller(f"bearer {token}") is not None for token in (VIEW, OPERATE)] == [True, True]


def test_without_tokens_every_caller_may_do_everything(tmp_path: Path):
    known = AdminTokens()
    known.use(settings(), tmp_path, {})
    caller = known.caller("")
    assert caller is not None
    assert caller.may("admin")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no token"),
        ("# only a comment\n", "holds no token"),
        (f"boss ann {VIEW}\n", "line 1: must be ROLE NAME TOKEN"),
        (f"# x\nview {VIEW}\n", "line 2: must be ROLE NAME TOKEN"),
        ("view ann short\n", "line 1: the token must have at least 16"),
        ("view ann sha256:12\n", "line 1: must be sha256: and 64 hexadecimal digits"),
        ("view ann sha256:xyz\n", "line 1: must be sha256: and 64 hexadecimal digits"),
        (f"view ann {VIEW}\nadmin bob {VIEW}\n", "line 2: this token is already that of ann"),
    ],
)
def test_a_faulty_file_is_refused_and_the_tokens_stay(tmp_path: Path, text: str, problem: str):
    known = tokens(tmp_path, f"view board {OPERATE}\n")
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(ConfigurationError, match=problem):
        known.use(settings(tokens_file="tokens"), tmp_path, {})
    assert known.caller(f"Bearer {OPERATE}") is not None


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nothing-here cannot be read"):
        AdminTokens().use(settings(tokens_file="nothing-here"), tmp_path, {})
