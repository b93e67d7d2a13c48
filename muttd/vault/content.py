"""The content of a document of secrets: the names mutt knows, their forms, and what is wrong with one. Pure.

A document is a table as in TOML or JSON. If a source can only hold text (an environment variable, a file with one
secret, most of Vault), lists are written as JSON in it. No repr and no fault shows a secret.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

TEXTS: Final = (
    "REDIS_PASS",
    "REDIS_SENTINEL_PASS",
    "DB_PASS",
    "INGEST_API_KEY",
    "INGEST_API_KEY_PREVIOUS",
    "WEBUI_API_KEY",
    "WEBUI_API_KEY_PREVIOUS",
    "MOOG_API_KEY",
)
COMMUNITIES: Final = "SNMP_COMMUNITIES"
USERS: Final = "SNMP_USERS"
INGEST_KEYS: Final = "INGEST_API_KEYS"
NAMES: Final = (*TEXTS, COMMUNITIES, USERS, INGEST_KEYS)

INGEST_KEYS_LIMIT: Final = 1000
"""Keys of relays. Limited because every request is compared with all, and each name is a label in the metrics."""

_USER_KEYS: Final = ("name", "auth", "auth_password", "priv", "priv_password")
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that lets somebody in, with the name by which metrics and logs refer to its holder."""

    name: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """All secrets at one moment. Empty text counts as absent."""

    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By name; the names are those in TEXTS."""
    communities: tuple[str, ...] = field(default=(), repr=False)
    snmp_users: tuple[dict[str, str], ...] = field(default=(), repr=False)
    """With the keys of muttd.wire.usm.User, which checks the values."""
    relays: tuple[ApiKey, ...] = ()
    """Of INGEST_API_KEYS."""

    def ingest_keys(self) -> tuple[ApiKey, ...]:
        """Every key that may send to the HTTP ingest."""
        return (*self._named("INGEST_API_KEY"), *self.relays)

    def webui_keys(self) -> tuple[ApiKey, ...]:
        """Every key among the secrets that may use the page and the API, as admin."""
        return self._named("WEBUI_API_KEY")

    def _named(self, name: str) -> tuple[ApiKey, ...]:
        both = (("default", name), ("previous", f"{name}_PREVIOUS"))
        return tuple(ApiKey(shown, self.texts[one]) for shown, one in both if one in self.texts)


class Document(NamedTuple):
    """What one source holds. `place` prefixes its faults; `closed`: a name that mutt does not know is a fault."""

    place: str
    values: Mapping[str, Any]
    closed: bool = False


def combined(documents: Sequence[Document]) -> tuple[Content, list[str]]:
    """The documents combined, the first one with a given name winning; and all faults."""
    faults: list[str] = []
    found: dict[str, Any] = {}
    for place, values, closed in documents:
        for name, value in values.items():
            if name not in NAMES:
                if closed:
                    faults.append(f"{place}: {name}: no such secret; known ones are {', '.join(NAMES)}")
            elif value not in ("", None, []) and name not in found:
                found[name], wrong = _read(name, value)
                faults += [f"{place}: {name}{fault}" for fault in wrong]
    content = Content(
        texts={name: found[name] for name in TEXTS if name in found},
        communities=found.get(COMMUNITIES, ()),
        snmp_users=found.get(USERS, ()),
        relays=found.get(INGEST_KEYS, ()),
    )
    return content, faults


def differing(one: Content, other: Content) -> list[str]:
    """The names of the secrets that differ."""
    names = [name for name in TEXTS if one.texts.get(name) != other.texts.get(name)]
    lists = ((COMMUNITIES, "communities"), (USERS, "snmp_users"), (INGEST_KEYS, "relays"))
    return names + [name for name, kept in lists if getattr(one, kept) != getattr(other, kept)]


def _read(name: str, value: Any) -> tuple[Any, list[str]]:
    """The value in its proper form, and what is wrong with it."""
    if name in TEXTS:
        return (value, []) if isinstance(value, str) else ("", [": expected text"])
    if name == COMMUNITIES:
        return _communities(value)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:  # its text could show a secret
            return (), [f": expected JSON here, such as {_EXAMPLES[name]}"]
    if not isinstance(value, list):
        return (), [f": expected tables, [[{name}]]"]
    check = _user_faults if name == USERS else _key_faults
    faults = [f" {number}: {fault}" for number, one in enumerate(value, 1) for fault in check(one)]
    if name == INGEST_KEYS and len(value) > INGEST_KEYS_LIMIT:
        faults.append(f": more than {INGEST_KEYS_LIMIT}")
    if faults:
        return (), faults
    return tuple(value) if name == USERS else tuple(ApiKey(one["name"], one["key"]) for one in value), []


_EXAMPLES: Final = {
    USERS: '[{"name": "…", "auth": "SHA-256", "auth_password": "…"}]',
    INGEST_KEYS: '[{"name": "relay-1", "key": "…"}]',
}


def _communities(value: Any) -> tuple[tuple[str, ...], list[str]]:
    if isinstance(value, str):
        try:
            listed = json.loads(value) if value.startswith("[") else value.split(",")
        except ValueError:
            listed = None
    else:
        listed = value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return (), [': expected a list of texts, such as ["…", "…"]']
    return tuple(listed), []


def _user_faults(user: object) -> Iterator[str]:
    if not isinstance(user, dict):
        yield f"expected a table, [[{USERS}]]"
        return
    for key, value in user.items():
        if key not in _USER_KEYS:
            yield f"{key}: no such key; known ones are {', '.join(_USER_KEYS)}"
        elif not isinstance(value, str):
            yield f"{key}: expected text"
    if "name" not in user:
        yield 'no name; every user needs one, name = "…"'


def _key_faults(given: object) -> Iterator[str]:
    if not isinstance(given, dict) or set(given) != {"name", "key"}:
        yield f'expected a table [[{INGEST_KEYS}]] of name = "…" and key = "…"'
        return
    if not isinstance(given["name"], str) or not _KEY_NAME.fullmatch(given["name"]):
        yield "name: expected 1 to 64 letters, digits, dots, hyphens, underscores"
    if not isinstance(given["key"], str) or not given["key"]:
        yield "key: expected text"
