"""PROXY headers: examples of the specification, and what must hold for every octet string and cutting."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.wire.proxy import LIMIT, Header, read

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_1(source: str) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {source} 56324 443\r\n".encode()


def version_2(source: str, command: int = 1, more: bytes = b"") -> bytes:
    address = ip_address(source).packed
    rest = address * 2 + struct.pack("!HH", 56324, 443) + more
    family = 0x21 if ":" in source else 0x11
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (version_1("192.168.0.1"), "192.168.0.1"),
        (version_1("ffff:f::f"), "ffff:f::f"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (version_2("192.168.0.1"), "192.168.0.1"),
        (version_2("2001:db8::7", more=b"\x03\x00\x04abcd"), "2001:db8::7"),
        (version_2("192.168.0.1", command=0), None),
        (SIGNATURE + b"\x21\x00\x00\x00", None),
        (SIGNATURE + b"\x21\x31\x00\xd8" + b"/" * 216, None),
    ],
)
def test_headers(data: bytes, source: str | None) -> None:
    assert read(data + b"<13>text") == Header(source, len(data))
    assert [read(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"<13>text",
        b"PROXY TCP4 192.168.0.1\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.1 1 2\n",
        b"PROXY TCP4 192.168.0.256 192.168.0.1 1 2\r\n",
        b"PROXY TCP4 \xff 192.168.0.1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 94,
        SIGNATURE + b"\x11\x11\x00\x0c" + b"x" * 12,
        SIGNATURE + b"\x22\x11\x00\x0c" + b"x" * 12,
        SIGNATURE + b"\x21\x11\x00\x0b" + b"x" * 11,
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"PROXY|IPv4|address"):
        read(data)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest))
@settings(deadline=None, max_examples=200)
def test_an_answer_never_changes_with_what_follows(data: bytes) -> None:
    answers: list[Header | str | None] = []
    for end in range(len(data) + 1):
        try:
            answers.append(read(data[:end]))
        except ValueError:
            answers.append("refused")
    final = [answer for answer in answers if answer is not None]
    assert len(set(final)) <= 1
    assert answers == [None] * (len(answers) - len(final)) + final
    assert all(isinstance(answer, str) or answer.length <= LIMIT for answer in final)


@given(st.ip_addresses().map(str), st.binary(max_size=20))
@settings(deadline=None, max_examples=100)
def test_every_address_comes_through(source: str, following: bytes) -> None:
    for data in (version_1(source), version_2(source)):
        assert read(bytearray(data + following)) == Header(source, len(data))
