"""Requests to HashiCorp Vault or OpenBao, through hvac: log in, renew, read. Blocking: call it in a thread.

Promises: every call ends within a few times `timeout`; every failure is a VaultError whose text says what is wrong and
contains no secret; no proxy, .netrc or VAULT_TOKEN from the environment is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

import hvac
import requests
from hvac import exceptions

from muttd.errors import UnavailableError

_SECRET_ID_LIMIT: Final = 65_536
"""Bytes read of a secret id or Kubernetes token."""
_SAID_LIMIT: Final = 200
"""Characters kept of Vault's own messages."""

_T = TypeVar("_T")
Kind = Literal["away", "failed", "refused", "denied", "missing"]
"""away: no answer, or sealed. failed: an error in Vault itself. refused: the log-in. denied: the token, or its policy.
missing: nothing at the path."""


class VaultError(UnavailableError):
    """Vault did not do what it was asked."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(f"Vault: {text}")
        self.kind: Kind = kind


@dataclass(frozen=True, slots=True)
class Access:
    """Where Vault is, who we are, and what we read. Files are read again whenever they are needed."""

    addr: str
    path: str
    """MOUNT/PATH, or MOUNT/data/PATH as KV v2's API writes it; a PATH alone is in the mount `secret`."""
    auth: Literal["approle", "kubernetes"] = "approle"
    auth_mount: str = ""
    """Empty: same as `auth`."""
    role: str = ""
    """The AppRole's role id, or the name of the Kubernetes role."""
    credential: Path = Path()
    """File with the secret id (or the token that wraps it), or with the service account's token."""
    wrapped: bool = False
    kv_version: Literal["auto", "1", "2"] = "auto"
    namespace: str = ""
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    timeout: float = 5.0
    """Seconds for connecting, and for each wait for an answer."""


class Grant(NamedTuple):
    """A token's lease: seconds (0: unlimited), and whether it can be renewed."""

    length: float
    renewable: bool


class Vault:
    """One client with one token. Not thread-safe."""

    def __init__(self, access: Access) -> None:
        self._access = access
        session = requests.Session()
        session.trust_env = False
        # Calls are minutes apart: a new connection is never stale, and reads the CA file as it is now.
        session.headers["Connection"] = "close"
        session.verify = access.ca_cert or True
        session.cert = (access.client_cert, access.client_key or access.client_cert) if access.client_cert else None
        self._client = hvac.Client(
            url=access.addr.rstrip("/"),
            token="",
            session=session,
            timeout=access.timeout,
            namespace=access.namespace or None,
        )
        self._unwrapped: tuple[str, str] = ("", "")
        """The wrapping token and its content: it can be unwrapped only once."""

    def __repr__(self) -> str:
        return f"Vault({self._access.addr})"

    def log_in(self) -> Grant:
        """A new token, used from now on. Raises VaultError."""
        access, mount, client = self._access, self._access.auth_mount or self._access.auth, self._client
        credential = self._credential()
        if access.auth == "approle":
            login = client.auth.approle.login
            right = f"vault.role_id of an AppRole at auth/{mount}, and a valid secret ID in {access.credential}"
        else:
            login = client.auth.kubernetes.login
            right = f"a role {access.role!r} at auth/{mount} that our service account is bound to"
        before, client.token = client.token, ""
        try:
            return _grant(_asked(lambda: login(access.role, credential, mount_point=mount)))
        except VaultError as error:
            client.token = before  # it may still work for a while
            if error.kind in {"away", "failed"}:
                raise
            said = str(error).removeprefix("Vault: ")
            raise VaultError("refused", f"refuses the log-in: {said}; remedy: {right}") from None

    def wrapping_left(self) -> float:
        """Seconds for which the secret id can still be unwrapped; does not unwrap it. Raises VaultError."""
        token = self._file_text()
        try:
            data = _asked(lambda: self._client.adapter.post("/v1/sys/wrapping/lookup", json={"token": token}))["data"]
            created = datetime.fromisoformat(str(data["creation_time"]))
            return float(data["creation_ttl"]) - (datetime.now(UTC) - created).total_seconds()
        except VaultError as error:
            if error.kind in {"away", "failed"}:
                raise
            raise self._used_up() from None
        except (KeyError, TypeError, ValueError):
            raise VaultError("away", f"{self._access.addr} does not answer like Vault") from None

    def renew(self) -> Grant:
        """A further lease for the token. Raises VaultError: denied or failed if it has reached its maximum age."""
        return _grant(_asked(self._client.auth.token.renew_self))

    def read(self) -> Mapping[str, Any]:
        """The secrets at the path, by name. Raises VaultError."""
        mount, path, version = self._place()
        kv = self._client.secrets.kv
        shown = f"{mount}/{path}"
        try:
            if version == "2":
                answer = _asked(
                    lambda: kv.v2.read_secret_version(path=path, mount_point=mount, raise_on_deleted_version=True)
                )
                found = answer["data"]["data"]
            else:
                found = _asked(lambda: kv.v1.read_secret(path=path, mount_point=mount))["data"]
        except VaultError as error:
            if error.kind == "missing":
                raise VaultError(
                    "missing",
                    f"nothing at {shown} (KV version {version}); remedy: bao kv put {shown} DB_PASS=…",
                ) from None
            if error.kind == "denied":
                needed = f"{mount}/data/{path}" if version == "2" else shown
                raise VaultError(
                    "denied", f'may not read {shown}; the policy needs: path "{needed}" {{ capabilities = ["read"] }}'
                ) from None
            raise
        except (KeyError, TypeError):
            raise VaultError("away", f"{self._access.addr} does not answer like Vault") from None
        if not isinstance(found, dict):
            raise VaultError("missing", f"nothing at {shown}")
        return found

    def _place(self) -> tuple[str, str, str]:
        """Mount, path in it, and version of its KV engine."""
        given = self._access.path.strip("/")
        if "/" not in given:
            given = f"secret/{given}"
        mount, _, path = given.partition("/")
        version = self._access.kv_version
        if version == "auto":
            try:
                # `vault kv` asks the same: any token that may read the path may ask it.
                about = _asked(lambda: self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{given}"))["data"]
                mount = str(about["path"]).strip("/")
                path = given[len(mount) + 1 :]
                version = "2" if (about.get("options") or {}).get("version") == "2" else "1"
            except (KeyError, TypeError, AttributeError):
                version = "2"
            except VaultError as error:
                if error.kind in {"away", "failed"}:
                    raise
                version = "2"  # reading will show what is wrong
        if version == "2":
            path = path.removeprefix("data/")
        return mount, path, version

    def _credential(self) -> str:
        """The secret id or the service account's token. Raises VaultError."""
        text = self._file_text()
        if not self._access.wrapped or self._access.auth != "approle":
            return text
        if self._unwrapped[0] != text:
            self._unwrapped = (text, self._unwrap(text))
        return self._unwrapped[1]

    def _file_text(self) -> str:
        file = self._access.credential
        try:
            with file.open("rb") as opened:
                return opened.read(_SECRET_ID_LIMIT).decode("ascii").strip()
        except OSError as error:
            raise VaultError("refused", f"{file}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise VaultError("refused", f"{file}: not the text of a secret ID or token") from None

    def _unwrap(self, token: str) -> str:
        before, self._client.token = self._client.token, token
        try:
            return str(_asked(self._client.sys.unwrap)["data"]["secret_id"])
        except VaultError as error:
            if error.kind in {"away", "failed"}:
                raise
            raise self._used_up() from None
        except (KeyError, TypeError):
            raise VaultError("refused", f"{self._access.credential}: wraps something other than a secret ID") from None
        finally:
            self._client.token = before

    def _used_up(self) -> VaultError:
        return VaultError(
            "refused",
            f"the wrapping token in {self._access.credential} has expired or was used before. If mutt did not use it, "
            "somebody else has the secret ID: revoke it; otherwise write a new token",
        )


def _grant(answer: Any) -> Grant:
    try:
        return Grant(float(answer["auth"]["lease_duration"]), bool(answer["auth"]["renewable"]))
    except (KeyError, TypeError, ValueError):
        raise VaultError("away", "does not answer like Vault") from None


def _asked(call: Callable[[], Any]) -> Any:
    """The result of `call`; whatever it raises becomes a VaultError."""
    try:
        return call()
    except exceptions.VaultDown:
        raise VaultError("away", "is sealed; unseal it") from None
    except exceptions.VaultNotInitialized:
        raise VaultError("away", "is not initialised") from None
    except exceptions.InvalidPath as error:
        raise VaultError("missing", _said(error) or "no such path") from None
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise VaultError("denied", _said(error) or "permission denied") from None
    except (exceptions.InvalidRequest, exceptions.ParamValidationError) as error:
        raise VaultError("denied", _said(error) or "invalid request") from None
    except exceptions.InternalServerError as error:
        raise VaultError("failed", _said(error) or "internal error") from None
    except exceptions.VaultError as error:
        raise VaultError("away", _said(error) or type(error).__name__) from None
    except requests.exceptions.SSLError as error:
        raise VaultError("away", f"TLS fails: {_tls_reason(error)}; see vault.ca_cert") from None
    except requests.exceptions.Timeout:
        raise VaultError("away", "does not answer in time") from None
    except requests.exceptions.ConnectionError as error:
        raise VaultError("away", f"cannot be reached: {_reason(error)}") from None
    except (OSError, ValueError) as error:  # a missing CA file; an answer that is not JSON
        raise VaultError("away", f"{type(error).__name__} on the way to it") from None


def _said(error: exceptions.VaultError) -> str:
    """The start of Vault's own message, made harmless; it contains no secret."""
    said = " ".join(str(one) for one in (error.errors or [])[:1])
    return "".join(one if one.isprintable() else " " for one in said)[:_SAID_LIMIT].strip()


def _reason(error: BaseException) -> str:
    """The operating system's error message, from deep within urllib3's wrapping."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, OSError) and seen.strerror and not isinstance(seen, requests.exceptions.RequestException):
            return seen.strerror
        inner = getattr(seen, "reason", None) or next(
            (one for one in getattr(seen, "args", ()) if isinstance(one, BaseException)), None
        )
        following = (
            inner if isinstance(inner, BaseException) else (seen.__cause__ or seen.__context__) if seen else None
        )
        if following is None:
            break
        seen = following
    return "no connection"


def _tls_reason(error: BaseException) -> str:
    text = str(error)
    at = text.find("certificate verify failed")
    return text[at:].partition(" (_ssl")[0].rstrip("') ")[:_SAID_LIMIT] if at >= 0 else "no agreement"
