"""Of the files that settings name: each certificate of our own is judged; of a CA bundle, only whether one is valid."""

import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from muttd.settings import certificates, load
from muttd.tls import CertificateWatch, NamedFile
from muttd.tls.expiry import validities

ROOT = Path(__file__).parents[2]
KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def root(name: str, end: datetime, begin: datetime = NOW - 1000 * DAY) -> x509.Certificate:
    """A CA certificate with the serial number 1."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), 1, begin, end)
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        KEY, hashes.SHA256()
    )


def pem(*given: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in given)


def with_serial_zero(one: x509.Certificate) -> bytes:
    """What some old roots of the systems' bundles have, and RFC 5280, section 4.1.2.2, forbids."""
    version, serial = b"\xa0\x03\x02\x01\x02", b"\x02\x01"
    changed = one.public_bytes(Encoding.DER).replace(version + serial + b"\x01", version + serial + b"\x00", 1)
    return ssl.DER_cert_to_PEM_cert(changed).encode()


OLD, NEW, LATEST = (root(name, NOW + days * DAY) for name, days in (("old", -10), ("new", 400), ("latest", 500)))
COMING = root("coming", NOW + 9 * DAY, NOW + DAY)


def lines(directory: Path, bundle: bytes) -> list[str]:
    """What is told where PostgreSQL's CAs are `bundle`."""
    (directory / "bundle.pem").write_bytes(bundle)
    conf = directory / "muttd.conf"
    conf.write_text(f'[database]\nssl_mode = "verify-full"\nssl_root_cert = "{directory}/bundle.pem"\n')
    return list(certificates.out_of_date(load(conf, {}), NOW))


def test_an_expired_root_among_others_is_nobodys_fault(tmp_path: Path) -> None:
    assert lines(tmp_path, pem(OLD, NEW)) == []


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        ((OLD, root("older", NOW - 20 * DAY)), f"the last expired on {NOW - 10 * DAY:%Y-%m-%d %H:%M} UTC"),
        ((COMING,), f"the first begins on {NOW + DAY:%Y-%m-%d %H:%M} UTC; is the clock right?"),
    ],
)
def test_a_bundle_without_a_valid_certificate_is_told_once(
    tmp_path: Path, bundle: tuple[x509.Certificate, ...], why: str
) -> None:
    file = tmp_path / "bundle.pem"
    assert lines(tmp_path, pem(*bundle)) == [f"database.ssl_root_cert: {file}: no CA certificate in it is valid: {why}"]


def test_a_serial_number_of_zero_is_read_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_bytes(pem(NEW) + with_serial_zero(OLD))
    assert [one.subject for one in validities(str(tmp_path / "bundle.pem"))] == ["CN=new", "CN=old"]


def test_check_config_takes_such_a_bundle_without_a_word(tmp_path: Path) -> None:
    assert lines(tmp_path, pem(NEW) + with_serial_zero(OLD)) == []
    command = [sys.executable, "-m", "muttd", "--check-config", "-c", str(tmp_path / "muttd.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")


def test_the_watch_exports_the_first_end_of_our_own_chain_and_the_last_of_a_bundle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, bundle = tmp_path / "ours.pem", tmp_path / "bundle.pem"
    ours.write_bytes(pem(NEW, LATEST))
    bundle.write_bytes(pem(OLD, LATEST, NEW))
    ends: dict[str, float] = {}
    watching = CertificateWatch(ends.__setitem__, now=lambda: NOW)
    files = {"moog.client_cert": NamedFile("cert", str(ours)), "moog.ca_cert": NamedFile("ca", str(bundle))}
    watching.add(files, lambda: None)
    assert ends == {
        "moog.client_cert": NEW.not_valid_after_utc.timestamp(),
        "moog.ca_cert": LATEST.not_valid_after_utc.timestamp(),
    }
    assert caplog.text == ""


def test_the_watch_warns_before_the_last_authority_expires(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that a site runs itself is alone in its file: when it expires, nobody can connect."""
    site = tmp_path / "site.pem"
    site.write_bytes(pem(OLD, root("site", NOW + DAY / 8)))
    ends: dict[str, float] = {}
    watching = CertificateWatch(ends.__setitem__, now=lambda: NOW)
    watching.add({"redis.tls_ca": NamedFile("ca", str(site))}, lambda: None)
    assert ends == {"redis.tls_ca": (NOW + DAY / 8).timestamp()}
    assert [one.getMessage() for one in caplog.records] == [
        f"redis.tls_ca: the certificate of CN=site in {site} expires in 0 days"
    ]


@pytest.mark.parametrize("useless", [OLD, root("later", NOW + 90 * DAY, NOW + 2 * DAY)])
def test_the_watch_warns_once_a_day_of_a_bundle_without_a_valid_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, useless: x509.Certificate
) -> None:
    bundle, clock = tmp_path / "bundle.pem", [NOW]
    bundle.write_bytes(pem(useless))
    watching = CertificateWatch(lambda *_: None, now=lambda: clock[0])
    watching.add({"moog.ca_cert": NamedFile("ca", str(bundle))}, lambda: None)
    for passed, said in ((0.0, 1), (0.9, 1), (0.99, 1)):
        clock[0] = NOW + passed * DAY
        watching.look()
        assert caplog.text.count(f"moog.ca_cert: {bundle}: no CA certificate in it is valid") == said
        assert len(caplog.records) == said
    clock[0] = NOW + DAY
    watching.look()
    assert len(caplog.records) == 2


def test_a_file_is_parsed_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "ours.pem"
    told: list[float] = []
    watching = CertificateWatch(lambda _, end: told.append(end))
    file.write_bytes(pem(NEW).ljust(2000, b"\n"))
    before = file.stat()
    watching.add({"http.tls_cert": NamedFile("cert", str(file))}, lambda: None)
    # Another one, with the size and the times of the first: only who reads the file anew can know.
    file.write_bytes(pem(OLD).ljust(2000, b"\n"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    watching.look()
    assert set(told) == {NEW.not_valid_after_utc.timestamp()}
    file.write_bytes(pem(OLD))
    watching.look()
    assert told[-1] == OLD.not_valid_after_utc.timestamp()
