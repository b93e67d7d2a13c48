"""Where secrets come from. The secrets themselves have no key."""

from dataclasses import dataclass
from typing import Literal

from muttd.settings.keys.key import key


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where secrets are kept on this machine. The first source that has a secret wins: the environment variable of its
    name; the file vault_NAME or NAME in $CREDENTIALS_DIRECTORY (systemd: LoadCredential=vault:DIRECTORY, which holds a
    file NAME for each; for tools run by hand, the directory credentials beside this file, where they may read it); the
    file below. Where a source holds only text, lists are JSON: INGEST_API_KEYS=[{"name": "relay-1", "key": "…"}].
    """

    file: str = key(
        "",
        "TOML file with REDIS_PASS, DB_PASS, INGEST_API_KEY, WEBUI_API_KEY, MOOG_API_KEY, SNMP_COMMUNITIES (a list; "
        "without it every community is accepted), tables [[INGEST_API_KEYS]] with name and key (one per relay; the "
        "name shows in the metrics), and tables [[SNMP_USERS]] with name, auth, auth_password, priv, priv_password "
        "(several with one name while its keys are changed). INGEST_API_KEY_PREVIOUS and WEBUI_API_KEY_PREVIOUS are "
        "accepted as well while keys are being changed. The file must belong to root or to mutt's user and be closed "
        "to group and others (chmod 600).",
        env="MUTT_SECRETS_FILE",
    )
    key_overlap: int = key(
        3600,
        "Seconds for which an API key is still accepted after another has replaced it under its name while mutt runs. "
        "A key whose name is gone is refused at once.",
        low=0,
    )


@dataclass(frozen=True, slots=True)
class Vault:
    """Secrets from HashiCorp Vault or OpenBao, where addr is set. What the environment or the credentials directory has
    (see [secrets]) wins over Vault, and Vault over secrets.file. Names and forms are the same in Vault; lists may be
    JSON text. Changes take effect without a restart. If Vault is away while mutt runs, mutt goes on with the secrets it
    has, and mutt_vault_up is 0; if it is away at the start, mutt waits for it.
    """

    addr: str = key("", "Address of Vault, https://HOST:8200. Empty: no Vault.", env="VAULT_ADDR", form="url")
    namespace: str = key("", "Namespace, where Vault has any.", env="VAULT_NAMESPACE")
    ca_cert: str = key(
        "",
        "File with the CA certificates of Vault; empty: the public ones that come with mutt (certifi).",
        env="VAULT_CACERT",
    )
    client_cert: str = key("", "PEM file with our certificate, where Vault asks for one.", env="VAULT_CLIENT_CERT")
    client_key: str = key("", "PEM file with its key; empty: it is in client_cert.", env="VAULT_CLIENT_KEY")
    timeout: float = key(5.0, "Seconds to connect, and to wait for an answer.", low=0.1, high=60)
    auth: Literal["approle", "kubernetes"] = key(
        "approle", "How mutt logs in.", env="VAULT_AUTH", choices=("approle", "kubernetes")
    )
    auth_mount: str = key("", "Where that method is mounted, below auth/; empty: approle or kubernetes.")
    role_id: str = key("", "AppRole: the role ID.", env="VAULT_ROLE_ID")
    secret_id_file: str = key(
        "",
        "AppRole: file with the secret ID, closed to others; empty: vault_secret_id in $CREDENTIALS_DIRECTORY. It is "
        "read at every log-in, so it may be replaced.",
        env="VAULT_SECRET_ID_FILE",
    )
    secret_id_wrapped: bool = key(
        False,
        "AppRole: whether the file holds a token that wraps the secret ID. It can be unwrapped once: every process of "
        "mutt, and every command, needs a file of its own (VAULT_SECRET_ID_FILE), a fresh one at every start. Where "
        "something else has unwrapped it, mutt says so. --check-config --connect leaves it wrapped.",
    )
    kubernetes_role: str = key("", "Kubernetes: the role.", env="VAULT_KUBERNETES_ROLE")
    kubernetes_token_file: str = key(
        "/var/run/secrets/kubernetes.io/serviceaccount/token", "Kubernetes: file with the service account's token."
    )
    secrets_path: str = key(
        "secret/mutt",
        "MOUNT/PATH of the secrets; secret/data/mutt means the same. A path without a mount is in secret/.",
        env="VAULT_SECRETS_PATH",
    )
    kv_version: Literal["auto", "1", "2"] = key(
        "auto", "Version of the KV engine; auto asks Vault.", choices=("auto", "1", "2")
    )
    refresh: int = key(
        300,
        "Seconds between reads of the secrets; SIGHUP reads them at once. A password changed in Vault is used for the "
        "next connection, so keep the old one valid for as long.",
        low=1,
    )
    token_renew_threshold: int = key(
        3600,
        "Our token is renewed at two thirds of its lease, or when this many seconds are left, whichever is sooner. "
        "Ignored where it is more than half of the lease.",
        env="VAULT_TOKEN_RENEW_THRESHOLD",
        low=1,
    )
