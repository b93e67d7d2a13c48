"""USM's keys and ciphers against the RFCs' own examples and against pysnmp."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.type.univ import OctetString
from pysnmp.entity import config

from muttd.errors import ConfigurationError
from muttd.wire import usm
from muttd.wire.usm import EngineTime, User

ENGINE = bytes.fromhex("000000000000000000000002")
AT = EngineTime(7, 1234)
SALT = bytes(range(8))
QUICK = settings(deadline=None, max_examples=60)

# pysnmp's services, which hold no state.
PYSNMP_AUTH = {
    "MD5": config.AUTH_SERVICES[config.USM_AUTH_HMAC96_MD5],
    "SHA": config.AUTH_SERVICES[config.USM_AUTH_HMAC96_SHA],
    "SHA-224": config.AUTH_SERVICES[config.USM_AUTH_HMAC128_SHA224],
    "SHA-256": config.AUTH_SERVICES[config.USM_AUTH_HMAC192_SHA256],
    "SHA-384": config.AUTH_SERVICES[config.USM_AUTH_HMAC256_SHA384],
    "SHA-512": config.AUTH_SERVICES[config.USM_AUTH_HMAC384_SHA512],
}
PYSNMP_LONG = {
    "AES-192": (config.USM_PRIV_CFB192_AES_BLUMENTHAL, config.USM_PRIV_CFB192_AES),
    "AES-256": (config.USM_PRIV_CFB256_AES_BLUMENTHAL, config.USM_PRIV_CFB256_AES),
}


@pytest.mark.parametrize(
    ("auth", "stretched", "localized"),
    [  # RFC 3414 appendix A.3
        ("MD5", "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
        ("SHA", "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
    ],
)
def test_keys_are_the_rfcs(auth: str, stretched: str, localized: str) -> None:
    key = usm.stretched_key(auth, b"maplesyrup")
    assert key.hex() == stretched
    assert usm.localized_key(auth, key, ENGINE).hex() == localized


@pytest.mark.parametrize("auth", usm.AUTHENTICATION)
def test_keys_are_pysnmps(auth: str) -> None:
    service = PYSNMP_AUTH[auth]
    master = service.hash_passphrase(b"a passphrase")
    assert usm.stretched_key(auth, b"a passphrase") == bytes(master)
    assert usm.localized_key(auth, bytes(master), ENGINE) == bytes(service.localize_key(master, OctetString(ENGINE)))


@pytest.mark.parametrize("auth", usm.AUTHENTICATION)
def test_digests_are_pysnmps(auth: str) -> None:
    service = PYSNMP_AUTH[auth]
    octets = usm.AUTHENTICATION[auth].mac_octets
    assert octets == service.digest_length
    # pysnmp looks for the blank digest in the message and fills it.
    message = b"\x30\x04head" + bytes(octets) + b"tail" * 20
    key = usm.localized_key(auth, usm.stretched_key(auth, b"a passphrase"), ENGINE)
    signed = service.authenticate_outgoing_message(OctetString(key), message)
    assert usm.mac(auth, key, message) == signed[6 : 6 + octets]


@pytest.mark.parametrize("priv", PYSNMP_LONG)
@pytest.mark.parametrize("auth", ["MD5", "SHA"])
def test_long_keys_are_made_both_ways(auth: str, priv: str) -> None:
    key = usm.stretched_key(auth, b"a passphrase")
    service = PYSNMP_AUTH[auth].SERVICE_ID
    wanted = [
        bytes(config.PRIV_SERVICES[way].localize_key(service, key, OctetString(ENGINE))) for way in PYSNMP_LONG[priv]
    ]
    assert list(usm.privacy_keys(auth, priv, key, ENGINE)) == wanted


@pytest.mark.parametrize("priv", ["AES-192", "AES-256"])
def test_a_long_digest_needs_no_stretching(priv: str) -> None:
    key = usm.stretched_key("SHA-512", b"a passphrase")
    assert usm.privacy_keys("SHA-512", priv, key, ENGINE) == (
        usm.localized_key("SHA-512", key, ENGINE)[: usm.PRIVACY[priv]],
    )


@pytest.mark.parametrize("priv", usm.PRIVACY)
@given(octets=st.binary(max_size=100))
@QUICK
def test_what_is_encrypted_is_decrypted(priv: str, octets: bytes) -> None:
    key = bytes(range(usm.PRIVACY[priv]))
    encrypted = usm.encrypt(priv, key, AT, SALT, octets)
    plain = usm.decryptor(priv, key)(AT, SALT, encrypted)
    assert plain is not None
    assert plain[: len(octets)] == octets
    assert len(plain) - len(octets) < (usm.DES_BLOCK if priv == "DES" else 1)


@pytest.mark.parametrize("priv", usm.PRIVACY)
@given(messages=st.lists(st.tuples(st.binary(max_size=60), st.binary(min_size=8, max_size=8)), max_size=5))
@QUICK
def test_one_decryptor_serves_any_messages_in_turn(priv: str, messages: list[tuple[bytes, bytes]]) -> None:
    key = bytes(range(usm.PRIVACY[priv]))
    decrypt = usm.decryptor(priv, key)
    for octets, salt in messages:
        assert decrypt(AT, salt[:7], octets) is None
        plain = decrypt(AT, salt, usm.encrypt(priv, key, AT, salt, octets))
        assert plain is not None
        assert plain[: len(octets)] == octets


@pytest.mark.parametrize("auth", usm.AUTHENTICATION)
@given(messages=st.lists(st.binary(max_size=200), max_size=4))
@QUICK
def test_a_digest_made_ready_is_the_same(auth: str, messages: list[bytes]) -> None:
    key = usm.localized_key(auth, usm.stretched_key(auth, b"a passphrase"), ENGINE)
    digest = usm.Digest(auth, key)
    for message in messages:
        assert digest(message) == usm.mac(auth, key, message)


@pytest.mark.parametrize(("priv", "service"), [("AES", config.USM_PRIV_CFB128_AES), ("DES", config.USM_PRIV_CBC56_DES)])
def test_ciphers_are_pysnmps(priv: str, service: tuple[int, ...]) -> None:
    key = bytes(range(16))
    times = (AT.boots, AT.seconds, None)
    encrypted, salt = config.PRIV_SERVICES[service].encrypt_data(OctetString(key), times, b"sixteen octets..")
    plain = usm.decryptor(priv, key)(AT, bytes(salt), bytes(encrypted))
    assert plain is not None
    assert plain.rstrip(b"\0") == b"sixteen octets.."  # pysnmp adds a whole block of padding


@pytest.mark.parametrize(("salt", "octets"), [(SALT[:7], bytes(8)), (b"", bytes(8)), (SALT, bytes(7))])
def test_lengths_that_no_cipher_has_are_not_decrypted(salt: bytes, octets: bytes) -> None:
    assert usm.decryptor("DES", bytes(16))(AT, salt, octets) is None


@pytest.mark.parametrize(
    ("spelled", "protocol"),
    [("sha", "SHA"), ("SHA1", "SHA"), ("sha-1", "SHA"), ("Sha256", "SHA-256"), ("sha_512", "SHA-512"), ("md5", "MD5")],
)
def test_protocols_may_be_spelled_as_devices_do(spelled: str, protocol: str) -> None:
    assert User("u", spelled, "password1").auth == protocol


@pytest.mark.parametrize(
    ("spelled", "protocol"), [("aes", "AES"), ("AES128", "AES"), ("aes-256", "AES-256"), ("des", "DES")]
)
def test_ciphers_may_be_spelled_as_devices_do(spelled: str, protocol: str) -> None:
    assert User("u", "SHA", "password1", spelled, "password2").priv == protocol


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": ""}, "1 to 32"),
        ({"name": "u" * 33}, "1 to 32"),
        ({"name": "u", "auth": "SHA-3", "auth_password": "p"}, "not one of MD5"),
        ({"name": "u", "auth": "AES", "auth_password": "p"}, "not one of MD5"),
        ({"name": "u", "auth": "SHA"}, "needs auth_password"),
        ({"name": "u", "priv": "AES", "priv_password": "p"}, "priv needs auth"),
    ],
)
def test_a_user_that_cannot_work_is_refused(arguments: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        User(**arguments)


def test_passwords_are_not_shown() -> None:
    user = User("u", "SHA", "hush-hush-1", "AES", "hush-hush-2")
    assert "hush" not in repr(user) + str(user)
    assert user.level == "authPriv"
