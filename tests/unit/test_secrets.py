"""Secrets: their sources and precedence, the forms they stand in, and keys that replace one another."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.errors import ConfigurationError
from muttd.vault import ApiKey, Content, Secrets, read_secrets


def secrets_file(directory: Path, text: str, mode: int = 0o600) -> Path:
    file = directory / "secrets.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_environment_wins_over_credentials_and_these_over_the_file(tmp_path: Path) -> None:
    file = secrets_file(
        tmp_path, 'REDIS_PASS = "hunter2"\nDB_PASS = "hunter3"\nMOOG_API_KEY = "hunter5"\nSNMP_COMMUNITIES = ["deep"]\n'
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "vault_DB_PASS").write_text("hunter6\n")
    (credentials / "vault_MOOG_API_KEY").write_text("hunter7\n")
    secrets = read_secrets(file, {"DB_PASS": "hunter4", "CREDENTIALS_DIRECTORY": str(credentials)})
    assert [secrets.get(name) for name in ("REDIS_PASS", "DB_PASS", "MOOG_API_KEY", "WEBUI_API_KEY")] == [
        "hunter2",
        "hunter4",
        "hunter7",
        None,
    ]
    assert secrets.communities == ("deep",)


def test_a_directory_of_plain_names_is_read_too_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "DB_PASS").write_text("hunter2\n")
    (tmp_path / "vault_REDIS_PASS").write_text("hunter3")
    secrets = read_secrets(None, environment)
    assert (secrets.get("DB_PASS"), secrets.get("REDIS_PASS")) == ("hunter2", "hunter3")
    (tmp_path / "vault_MOOG_API_KEY").symlink_to("vault_MOOG_API_KEY")
    with pytest.raises(ConfigurationError, match="vault_MOOG_API_KEY: cannot be read: "):
        read_secrets(None, environment)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    file = secrets_file(
        tmp_path,
        'REDIS_PASS = "hunter2"\nINGEST_API_KEY = "hunter3"\nSNMP_COMMUNITIES = ["hunter4"]\n'
        '[[INGEST_API_KEYS]]\nname = "a"\nkey = "hunter5"\n[[SNMP_USERS]]\nname = "u"\nauth_password = "hunter6"\n',
    )
    secrets = read_secrets(file, {})
    shown = (
        f"{secrets!r} {secrets} {secrets.ingest_keys!r} {Content(texts={'REDIS_PASS': 'hunter2'})!r} {vars(secrets)}"
    )
    assert "hunter" not in shown


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ('REDIS_PASS = "x"', 0o640, "open to group or others; remedy: chmod 600"),
        ('REDIS_PAS = "x"', 0o600, "no such secret; known ones are REDIS_PASS"),
        ("REDIS_PASS = hunter2", 0o600, "not TOML"),
        ("REDIS_PASS = 5", 0o600, "REDIS_PASS: expected text"),
        ('SNMP_USERS = "hunter2"', 0o600, "SNMP_USERS: expected JSON here"),
        ('[[SNMP_USERS]]\nname = "x"\npassword = "hunter2"', 0o600, "SNMP_USERS 1: password: no such key"),
        ("SNMP_COMMUNITIES = [5]", 0o600, "SNMP_COMMUNITIES: expected a list of texts"),
        ('[[INGEST_API_KEYS]]\nname = "a b"\nkey = "hunter2"', 0o600, "INGEST_API_KEYS 1: name: expected"),
        ('[[INGEST_API_KEYS]]\nkey = "hunter2"', 0o600, "INGEST_API_KEYS 1: expected a table"),
        ('[[INGEST_API_KEYS]]\nname = "a"\nkey = ""', 0o600, "INGEST_API_KEYS 1: key: expected text"),
    ],
)
def test_faults_of_the_secrets_file(tmp_path: Path, text: str, mode: int, expected: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_secrets(secrets_file(tmp_path, text, mode), {})
    assert expected in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_where_a_source_has_text_alone_lists_are_json() -> None:
    users = [{"name": "u", "auth": "SHA", "auth_password": "12345678"}]
    secrets = read_secrets(
        None,
        {
            "INGEST_API_KEYS": json.dumps([{"name": "relay-1", "key": "one"}, {"name": "relay-2", "key": "two"}]),
            "INGEST_API_KEY": "three",
            "INGEST_API_KEY_PREVIOUS": "four",
            "SNMP_USERS": json.dumps(users),
            "SNMP_COMMUNITIES": "public,private",
        },
    )
    assert secrets.ingest_keys == (
        *(ApiKey("default", "three"), ApiKey("previous", "four")),
        *(ApiKey("relay-1", "one"), ApiKey("relay-2", "two")),
    )
    assert secrets.snmp_users == tuple(users)
    assert secrets.communities == ("public", "private")


def test_a_replaced_key_is_taken_for_a_while_and_one_whose_name_is_gone_is_not() -> None:
    now = [100.0]
    first = Content(relays=(ApiKey("a", "a1"), ApiKey("b", "b1")))
    secrets = Secrets(first, overlap=60, clock=lambda: now[0])
    assert secrets.replace(Content(relays=(ApiKey("a", "a2"),)))
    taken = []
    for now[0] in (100.0, 159.9, 160.0):
        taken.append([one.key for one in secrets.ingest_keys])
    assert taken == [["a2", "a1"], ["a2", "a1"], ["a2"]]


def test_whoever_wants_to_know_is_told_of_a_change_and_of_nothing_else() -> None:
    told: list[str | None] = []
    secrets = Secrets(Content(texts={"DB_PASS": "one"}))
    secrets.changed.append(lambda: told.append(secrets.get("DB_PASS")))
    assert not secrets.replace(Content(texts={"DB_PASS": "one"}))
    assert secrets.replace(Content(texts={"DB_PASS": "two"}))
    assert told == ["two"]


_keys = st.lists(st.builds(ApiKey, st.sampled_from("abc"), st.sampled_from("123456")), max_size=4, unique=True).map(
    tuple
)


@given(st.lists(st.tuples(st.floats(0, 50), _keys), max_size=8), st.floats(0, 100))
@settings(deadline=None, max_examples=200)
def test_keys_that_are_valid_are_the_present_ones_and_those_they_replaced_lately(
    changes: list[tuple[float, tuple[ApiKey, ...]]], overlap: float
) -> None:
    now = 0.0
    secrets = Secrets(Content(), overlap=overlap, clock=lambda: now)
    last_seen: dict[ApiKey, float] = {}
    present: tuple[ApiKey, ...] = ()
    for pause, keys in changes:
        now += pause
        last_seen |= {key: now for key in present if key not in keys}
        last_seen = {key: at for key, at in last_seen.items() if key.name in {one.name for one in keys}}
        secrets.replace(Content(relays=keys))
        present = keys
        lately = {key for key, at in last_seen.items() if at + overlap > now}
        assert secrets.ingest_keys[: len(keys)] == keys
        assert set(secrets.ingest_keys) == set(keys) | lately
        assert len(secrets.ingest_keys) == len(set(secrets.ingest_keys))


@given(
    st.dictionaries(
        st.sampled_from(["SNMP_USERS", "INGEST_API_KEYS", "SNMP_COMMUNITIES"]), st.text(min_size=1, max_size=40)
    )
)
@settings(deadline=None, max_examples=200)
def test_any_text_in_the_environment_is_read_or_is_a_worded_fault(environment: dict[str, str]) -> None:
    try:
        read_secrets(None, environment)
    except ConfigurationError as error:
        assert all(fault.startswith("environment: ") for fault in error.faults)
