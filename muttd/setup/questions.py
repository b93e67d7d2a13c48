"""What a person at a terminal is asked, and what the answers mean. Enter keeps what stands in brackets."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from muttd.settings import Settings
from muttd.settings.loading import value_of, with_keys
from muttd.setup.plan import Standing
from muttd.setup.wish import SECRET_ID, Choices, Key, Wish

_SETTINGS: Final[tuple[tuple[Key, str], ...]] = (
    (("redis", "host"), "Redis (name, address, or path of a Unix socket)"),
    (("redis", "port"), "  its port"),
    (("redis", "tls_enabled"), "  by TLS (yes, no)"),
    (("database", "host"), "PostgreSQL (name, address, or directory of a Unix socket)"),
    (("database", "port"), "  its port"),
    (("database", "name"), "  database"),
    (("database", "user"), "  role"),
    (("moog", "webhook_url"), "Moog's webhook (https://HOST/events/webhook_webhook1; empty: later)"),
    (("vault", "addr"), "Vault (https://HOST:8200; empty: none)"),
)
_VAULT: Final[tuple[tuple[Key, str], ...]] = (
    (("vault", "role_id"), "  role ID of its AppRole"),
    (("vault", "secrets_path"), "  where the secrets are (MOUNT/PATH)"),
)
_SECRETS: Final = (
    ("REDIS_PASS", "Redis's password"),
    ("DB_PASS", "PostgreSQL's password"),
    ("MOOG_API_KEY", "Moog's key"),
    ("SNMP_COMMUNITIES", "SNMP communities, separated by commas (none: every community is accepted)"),
)
_VAULT_SECRETS: Final = ((SECRET_ID, "secret ID of Vault's AppRole"),)


class Talk(NamedTuple):
    """A terminal."""

    show: Callable[[str], None]
    ask: Callable[[str], str]
    """Shows a prompt; the answer without its newline."""
    ask_secret: Callable[[str], str]
    """The same, and the answer does not show."""


def ask_all(wish: Wish, answered: Wish | None, standing: Standing, talk: Talk) -> Wish:
    """`wish`, and what it does not say, asked. `answered`: what was answered before, if this is not the first time.

    Where somebody edited muttd.conf, nothing that it says is asked for.
    """
    before = answered or wish
    settings = with_keys(standing.settings, before.keys)
    keys = dict(before.keys)
    if not standing.edited:
        for key, text in _SETTINGS:
            if key not in wish.keys:
                _ask_setting(key, text, keys, settings, talk)
        if with_keys(settings, keys).vault.addr:
            for key, text in _VAULT:
                if key not in wish.keys:
                    _ask_setting(key, text, keys, settings, talk)
    after = with_keys(settings, keys)
    credentials = dict(before.credentials)
    for name, text in _VAULT_SECRETS if after.vault.addr else () if after.secrets.file else _SECRETS:
        if name not in wish.credentials:
            has = name in credentials or name in standing.credentials
            if given := talk.ask_secret(f"{text} ({'empty: unchanged' if has else 'empty: none'}): ").strip():
                credentials[name] = given
    return Wish(keys, credentials, answered.choices if answered else _choices(wish.choices, standing.edited, talk))


def agreed(question: str, talk: Talk, *, default: bool = False) -> bool:
    """A yes or a no."""
    while True:
        answer = talk.ask(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
        if answer in {"", "y", "yes", "n", "no"}:
            return default if not answer else answer.startswith("y")
        talk.show("please answer yes or no")


def _ask_setting(key: Key, text: str, keys: dict[Key, Any], settings: Settings, talk: Talk) -> None:
    now = getattr(getattr(settings, key[0]), key[1])
    shown = now if isinstance(now, str) else json.dumps({True: "yes", False: "no"}.get(now, now)).strip('"')
    while answer := talk.ask(f"{text} [{shown}]: ").strip():
        try:
            keys[key] = value_of(*key, answer)
            return
        except ValueError as error:
            talk.show(f"{'.'.join(key)}: {error}")


def _choices(given: Choices, edited: bool, talk: Talk) -> Choices:
    """What was not said in an answers file is as its default: that is asked."""
    certificates = given.certificates
    if not edited and not certificates:
        certificates = agreed("Make certificates for a trial of TLS?", talk)
    firewall = tuple(_firewall(talk)) if given.firewall == Choices().firewall else given.firewall
    sample = given.sample or agreed("Add sample rules, hosts and teams?", talk)
    return msgspec.structs.replace(given, certificates=certificates, firewall=firewall, sample=sample)


def _firewall(talk: Talk) -> Iterator[Literal["mutt", "mutt-webui"]]:
    if agreed("Open the devices' ports (514, 6514, 162) in firewalld, where it runs?", talk, default=True):
        yield "mutt"
    if agreed("Open the page's port (8090) too?", talk):
        yield "mutt-webui"
