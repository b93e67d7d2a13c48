"""muttd.conf and the environment: precedence, types, and one clear line for every fault."""

import dataclasses
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.errors import ConfigurationError
from muttd.settings import Settings, forms, load
from muttd.settings.manual import manual

ROOT = Path(__file__).parents[2]


def write(directory: Path, text: str) -> Path:
    file = directory / "muttd.conf"
    file.write_text(text)
    return file


def faults(file: Path | None, environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(file, environment)
    assert raised.value.exit_status == 78
    return raised.value.faults


def test_the_shipped_file_is_the_manual() -> None:
    assert (ROOT / "muttd.conf").read_text() == manual(), "run ./dev fmt"


def test_the_shipped_file_changes_nothing_and_with_every_key_uncommented_neither(tmp_path: Path) -> None:
    assert load(ROOT / "muttd.conf", {}) == Settings() == load(None, {})
    live = re.sub(r"(?m)^#(\w+ = )", r"\1", (ROOT / "muttd.conf").read_text())
    assert live.count("\n") == manual().count("\n")
    assert load(write(tmp_path, live), {}) == Settings()


def test_a_file_written_from_settings_reads_back_as_them(tmp_path: Path) -> None:
    wanted = load(
        write(
            tmp_path,
            '[syslog]\nudp = ["127.0.0.1:5514"]\ntime_zones = { "10.1.0.0/16" = "Europe/Berlin" }\n'
            '[redis]\nhost = "a \\"b\\" \\u007f ü"\ntls_enabled = false\n[moog]\nrate_period = 0.5\n',
        ),
        {},
    )
    text = manual(wanted)
    assert load(write(tmp_path, text), {}) == wanted
    assert text.count("\n") == manual().count("\n")


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, '[redis]\nhost = "from-file"\nport = 7000\n')
    loaded = load(file, {"REDIS_HOST": "from-environment", "REDIS_TLS_ENABLED": "False", "MOOG_TIMEOUT": "2.5"})
    assert loaded.redis == dataclasses.replace(Settings().redis, host="from-environment", port=7000, tls_enabled=False)
    assert loaded.moog.timeout == 2.5


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(None, {"REDIS_PORT": ""}) == Settings()


def test_established_names_have_their_defaults() -> None:
    by_variable = {
        field.metadata["env"]: field.default
        for table in dataclasses.fields(Settings)
        for field in dataclasses.fields(table.type)  # type: ignore[arg-type]  # classes
    }
    established = {
        "SERVER_PORT_INGESTOR": 8080,
        "SERVER_PORT_ALERTER": 8081,
        "SERVER_PORT_ALERTER_METRICS": 8082,
        "SERVER_PORT_MOOG_FORWARDER": 8083,
        "SERVER_PORT_MOOG_METRICS": 8084,
        "SERVER_PORT_WEBUI": 8090,
        "MAX_INGEST_QUEUE_SIZE": 1000000,
        "ALERTER_HEARTBEAT_INTERVAL": 30,
        "ALERTER_RULE_CACHE_REFRESH_INTERVAL": 300,
        "UNHANDLED_EVENT_THRESHOLD": 100,
        "UNHANDLED_EVENT_WINDOW": 3600,
        "MOOG_TIMEOUT": 10,
        "MOOG_RATE_LIMIT": 50,
        "MOOG_RATE_PERIOD": 1,
        "MOOG_RETRY_BASE_DELAY": 1,
        "MOOG_RETRY_MAX_DELAY": 60,
        "MOOG_MAX_RETRIES": 5,
        "MOOG_HEARTBEAT_INTERVAL": 30,
    }
    assert {name: by_variable[name] for name in established} == established
    others = """REDIS_HOST REDIS_PORT REDIS_TLS_ENABLED REDIS_TLS_CA_CERT REDIS_POOL_MAX_CONN INGEST_QUEUE_NAME
        ALERT_QUEUE_NAME METRICS_PREFIX VAULT_ADDR VAULT_ROLE_ID VAULT_SECRET_ID_FILE VAULT_SECRETS_PATH
        VAULT_TOKEN_RENEW_THRESHOLD ALERTER_POD_NAME DB_HOST DB_PORT DB_NAME DB_USER DB_SSL_MODE DB_SSL_ROOT_CERT
        DB_POOL_MIN_CONN DB_POOL_MAX_CONN MOOG_WEBHOOK_URL MOOG_POD_NAME"""
    assert set(others.split()) <= set(by_variable)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("[redis]\nprot = 1\n", 2, "redis.prot: no such key; did you mean port?"),
        ("[rediss]\nport = 1\n", 1, "[rediss]: no such table; did you mean redis?"),
        ("\n[redis]\n\nport = 70000\n", 4, "redis.port: 70000 is not from 1 to 65535; the default is 6379"),
        ("[redis]\nport = true\n", 2, "redis.port: true is not a whole number"),
        ("redis.port = 'x'\n", 1, 'redis.port: "x" is not a whole number'),
        ("[log]\nlevel = 'inf'\n", 2, 'log.level: "inf" is not one of debug, info, warning, error; did you mean info?'),
        ("[syslog]\nudp = ['[::]:0']\n", 2, "the port must be 1 to 65535"),
        ("[syslog]\nudp = ['::1:514']\n", 2, "an IPv6 address needs brackets"),
        ("[syslog]\nallow = ['10.0.0.1/8']\n", 2, "host bits are set; the network would be 10.0.0.0/8"),
        ("[syslog]\ntime_zone = 'Mars/Base'\n", 2, "expected an IANA time zone"),
        ("[syslog.time_zones]\n'10.0.0.0/8' = 'Nowhere'\n", 1, "expected an IANA time zone"),
        ("[syslog]\ncharset = 'rot13'\n", 2, "not a charset of text"),
        ("[moog]\nwebhook_url = 'https://user:secret@moog/x'\n", 2, "a secret does not belong in an address"),
        ("[moog]\nwebhook_url = 'moog'\n", 2, "expected https://HOST/PATH"),
        ("[redis]\nport = \n", 2, "not TOML at column"),
        ("[redis]\nhost = redis-1\n", 2, 'expected key = "text"'),
        ("[redis]\nport = 1\nport = 2\n", 3, "it is in the file already: keep one of the two"),
        ("[redis]\nport = 1\n[redis]\n", 3, "it is in the file already: keep one of the two"),
        ("port = 1\n[redis]\n", 1, "port: not in any table; it is a key of [redis] and [database]"),
        ("nothing = 1\n", 1, "nothing: not in any table; expected [TABLE] above it"),
        ("[redis]\nmax_message = 1\n", 2, "redis.max_message: no such key; it is a key of [syslog]"),
        ("[redis]\npassword = 'x'\n", 2, "redis.password: no such key; secrets do not belong here, see [secrets]"),
        ("[redis]\nhost = ''\n", 2, "expected a name, an address, or the path of a Unix socket"),
        ('[redis]\nhost = "a\\u0000b"\n', 2, "has a control character"),
        ("[syslog]\nrate = inf\n", 2, "is not from 0 up"),
        ("[http]\nport_webui = 8080\n", 2, "8080 is also http.port_ingest"),
    ],
)
def test_a_fault_names_file_line_key_and_what_is_right(tmp_path: Path, text: str, line: int, expected: str) -> None:
    file = write(tmp_path, text)
    found = faults(file, {})
    assert len(found) == 1
    assert found[0].startswith(f"{file}:{line}: ")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("mode", "more", "expected"),
    [
        (0o604, "", "secret-id: open to others; remedy: chmod o= "),
        (
            0o600,
            "secret_id_wrapped = true\n[receiving]\nprocesses = 2\n",
            "only one of receiving.processes (2) could unwrap it",
        ),
        (0o640, "secret_id_wrapped = true\n", None),
    ],
)
def test_a_secret_id_that_others_read_or_that_is_needed_twice(
    tmp_path: Path, mode: int, more: str, expected: str | None
) -> None:
    secret_id = tmp_path / "secret-id"
    secret_id.write_text("x")
    secret_id.chmod(mode)
    text = f'[vault]\naddr = "https://vault:8200"\nrole_id = "r"\nsecret_id_file = "{secret_id}"\n{more}'
    if expected is None:
        load(write(tmp_path, text), {})
    else:
        [found] = faults(write(tmp_path, text), {})
        assert expected in found


def test_what_editors_leave_behind_is_read(tmp_path: Path) -> None:
    file = tmp_path / "muttd.conf"
    file.write_bytes(b"\xef\xbb\xbf[redis]\r\n\tport\t= 7000\r\n")
    assert load(file, {}).redis.port == 7000
    file.write_bytes(b"[redis]\n# gr\xfcn\nport = 7000\n")
    assert faults(file, {}) == [f"{file}:2: not UTF-8 text: byte 0xfc"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "[redis]\nport = 0\nhots = 'x'\n")
    found = faults(file, {"MOOG_RATE_LIMIT": "many", "DB_SSL_MODE": "full"})
    assert len(found) == 4
    assert sum(fault.startswith("environment: ") for fault in found) == 2


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_text_is_either_a_configuration_or_worded_faults(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "muttd.conf"
        file.write_text(text, encoding="utf-8", errors="replace")
        try:
            load(file, {})
        except ConfigurationError as error:
            assert all(str(file) in fault and "\n" not in fault for fault in error.faults)


@given(st.text(max_size=30))
@settings(deadline=None)
def test_every_form_takes_a_text_or_says_what_is_right(text: str) -> None:
    for check in forms.CHECKS.values():
        try:
            check(text)
        except ValueError as error:
            assert str(error)
