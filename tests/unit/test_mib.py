"""The MIB index, what it ships, how values are shown, and the compiler that nothing may stop."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.errors import MuttError
from muttd.mib.compile import compile_folders
from muttd.mib.display import date_and_time, inet_address, shower
from muttd.mib.index import SHIPPED, MibIndex, Object, Table, Trap, Type, load, read_table, write_table

NAMES = load()
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"

ACME = """
ACME-MIB DEFINITIONS ::= BEGIN
IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, MacAddress, DateAndTime, TruthValue FROM SNMPv2-TC
    ifIndex FROM IF-MIB
    acmeRoot FROM ACME-SMI;
acmeMIB MODULE-IDENTITY LAST-UPDATED "202601010000Z" ORGANIZATION "a" CONTACT-INFO "b" DESCRIPTION "c"
    ::= { acmeRoot 1 }
Mood ::= TEXTUAL-CONVENTION DISPLAY-HINT "1x:" STATUS current DESCRIPTION "d" SYNTAX OCTET STRING (SIZE (0..6))
Lamp ::= TEXTUAL-CONVENTION STATUS current DESCRIPTION "d" SYNTAX INTEGER { off(1), on(2) }
Alias ::= TEXTUAL-CONVENTION STATUS current DESCRIPTION "d" SYNTAX Lamp
acmeTable OBJECT-TYPE SYNTAX SEQUENCE OF AcmeEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "d"
    ::= { acmeMIB 2 }
acmeEntry OBJECT-TYPE SYNTAX AcmeEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION "d"
    INDEX { ifIndex } ::= { acmeTable 1 }
AcmeEntry ::= SEQUENCE { acmeMood Mood, acmeLamp Lamp }
acmeMood OBJECT-TYPE SYNTAX Mood MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeEntry 1 }
acmeLamp OBJECT-TYPE SYNTAX Lamp MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeEntry 2 }
acmeLevel OBJECT-TYPE SYNTAX INTEGER { low(-1), high(1) } MAX-ACCESS read-only STATUS current DESCRIPTION "d"
    ::= { acmeMIB 3 }
acmeFlags OBJECT-TYPE SYNTAX BITS { red(0), green(9) } MAX-ACCESS read-only STATUS current DESCRIPTION "d"
    ::= { acmeMIB 4 }
acmeMac OBJECT-TYPE SYNTAX MacAddress MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 5 }
acmeWhen OBJECT-TYPE SYNTAX DateAndTime MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 6 }
acmeTrue OBJECT-TYPE SYNTAX TruthValue MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 7 }
acmeWhich OBJECT-TYPE SYNTAX OBJECT IDENTIFIER MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 8 }
acmeCount OBJECT-TYPE SYNTAX Integer32 (0..9) MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 9 }
acmeAlias OBJECT-TYPE SYNTAX Alias MAX-ACCESS read-only STATUS current DESCRIPTION "d" ::= { acmeMIB 10 }
acmeDown NOTIFICATION-TYPE OBJECTS { ifIndex, acmeMood } STATUS current DESCRIPTION "d" ::= { acmeMIB 0 1 }
END
"""
ACME_SMI = """
ACME-SMI DEFINITIONS ::= BEGIN
IMPORTS enterprises FROM RFC1155-SMI TRAP-TYPE FROM RFC-1215;
acmeRoot OBJECT IDENTIFIER ::= { iso org(3) dod(6) internet(1) private(4) enterprises(1) 99999 }
acmeOld TRAP-TYPE ENTERPRISE acmeRoot VARIABLES { acmeLevel } DESCRIPTION "d" ::= 5
END
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> MibIndex:
    folder = tmp_path_factory.mktemp("mibs")
    (folder / "sub").mkdir()
    (folder / "acme.mib").write_text(ACME)
    (folder / "sub" / "ACME-SMI.txt").write_text(ACME_SMI)
    compiled = compile_folders([folder], read_table(SHIPPED))
    assert [finding for finding in compiled.findings if finding.fault] == []
    write_table(compiled.table, folder / "index.json")
    return load([folder / "index.json"])


# The index


def test_a_trap_has_name_severity_and_what_it_clears() -> None:
    down, up = NAMES.trap(LINK_DOWN), NAMES.trap("1.3.6.1.6.3.1.1.5.4")
    assert down is not None
    assert up is not None
    assert (down.name, down.severity, down.clears) == ("IF-MIB::linkDown", 3, None)
    assert (up.name, up.severity, up.clears) == ("IF-MIB::linkUp", 5, LINK_DOWN)
    assert NAMES.trap("1.3.6.1.4.1.99999.1") is None


def test_a_trap_is_found_with_and_without_the_zero_of_translation() -> None:
    with_zero = Table(traps={"1.3.6.1.4.1.7.0.1": Trap("A::one")})
    without = Table(traps={"1.3.6.1.4.1.8.2": Trap("B::two")})
    index = MibIndex([with_zero, without], {})
    for oid, name in [("1.3.6.1.4.1.7.1", "A::one"), ("1.3.6.1.4.1.8.0.2", "B::two")]:
        trap = index.trap(oid)
        assert trap is not None
        assert trap.name == name


@pytest.mark.parametrize("oid", ["", "1", "1.3", ".", "1.0.1"])
def test_short_object_identifiers_are_nothing(oid: str) -> None:
    assert NAMES.trap(oid) is None
    assert NAMES.instance(oid) is None


def test_an_instance_has_the_longest_name_that_is_known() -> None:
    index = MibIndex([Table(objects={"1.2.3": Object("A::short"), "1.2.3.4": Object("A::long")})], {})
    found = {oid: index.instance(oid) for oid in ("1.2.3.4.5", "1.2.3.40", "1.2.30")}
    assert [label and label.name for label in found.values()] == ["A::long.5", "A::short.40", None]
    label = found["1.2.3.4.5"]
    assert label is not None
    assert label.short == "long"


def test_a_later_table_renames_but_keeps_the_severity() -> None:
    index = MibIndex([Table(traps={"1.2.3": Trap("A::x", (), 2, "1.2.4")}), Table(traps={"1.2.3": Trap("B::y")})], {})
    assert index.trap("1.2.3") == Trap("B::y", (), 2, "1.2.4")


def test_severities_are_overridden_by_oid_or_name() -> None:
    index = load(severities={LINK_DOWN: 1, "IF-MIB::linkUp": 6})
    assert [trap.severity for trap in (index.traps[LINK_DOWN], index.traps["1.3.6.1.6.3.1.1.5.4"])] == [1, 6]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "linkUp",
            ["IF-MIB::linkUp", "1.3.6.1.6.3.1.1.5.4", "ifAdminStatus", "5 (notice)", "clears    IF-MIB::linkDown"],
        ),
        ("IF-MIB::linkDown", ["severity  3 (error)", "cleared   by IF-MIB::linkUp"]),
        ("if-mib::IFDESCR.7", ["IF-MIB::ifDescr.7", "1.3.6.1.2.1.2.2.1.2.7"]),
        (".1.3.6.1.2.1.2.2.1.8.3", ["IF-MIB::ifOperStatus.3", "up(1)", "down(2)"]),
        ("1.3.6.1.4.1.8072.3.2.10", ["NET-SNMP-TC::linux"]),
    ],
)
def test_lookup_says_all(text: str, lines: list[str]) -> None:
    printed = "\n".join(NAMES.lookup(text))
    assert [line for line in lines if line not in printed] == []


@pytest.mark.parametrize("text", ["", "noSuchThing", "OTHER-MIB::linkUp", "9.9.9", "1..2", "\N{SUPERSCRIPT TWO}"])
def test_lookup_of_nothing_says_nothing(text: str) -> None:
    assert NAMES.lookup(text) == []


def test_a_file_that_is_no_index_is_the_operators_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    with pytest.raises(MuttError, match="No such file"):
        load([path])
    path.write_text("{}]")
    with pytest.raises(MuttError, match="muttd mib compile"):
        load([path])
    with pytest.raises(MuttError, match="no-folder"):
        write_table(Table(), tmp_path / "no-folder" / "index.json")


# What is shipped


def test_the_shipped_index_is_whole_and_sorted(tmp_path: Path) -> None:
    table = read_table(SHIPPED)
    assert len(table.traps) > 300
    assert len({trap.name for trap in table.traps.values()}) == len(table.traps)
    assert all(trap.severity in range(8) for trap in table.traps.values())
    assert [trap.name for trap in table.traps.values() if trap.clears and trap.clears not in table.traps] == []
    used = {known.type for known in table.objects.values() if known.type} - {"OBJECT IDENTIFIER"}
    assert used == set(table.types)
    write_table(table, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == SHIPPED.read_bytes()


# Values


@pytest.mark.parametrize(
    ("hint", "value", "shown"),
    [
        ("1x:", b"\x00\x1b\x54\xaa\xbb\xcc", "00:1b:54:aa:bb:cc"),
        ("1x:", b"ABCDEF", "41:42:43:44:45:46"),
        ("1x:", b"", None),
        ("1d.1d.1d.1d:2d", b"\x0a\x00\x00\x01\x02\x02", "10.0.0.1:514"),
        (
            "2x:2x:2x:2x:2x:2x:2x:2x",
            bytes.fromhex("20010db8") + bytes(11) + b"\x01",
            "2001:0db8:0000:0000:0000:0000:0000:0001",
        ),
        ("*1x:/1x:", b"\x03\xaa\xbb\xcc\x0d\x0e", "aa:bb:cc/0d:0e"),
        ("1d-1o", b"\x09\x09", "9-11"),
        ("255a", b"text is text already", None),
        ("0x", b"ab", None),
        ("nonsense", b"ab", None),
        ("DateAndTime", bytes.fromhex("07ea0305040709062b0200"), "2026-03-05T04:07:09.6+02:00"),
        ("InetAddress", b"\x0a\x00\x00\x01", "10.0.0.1"),
        ("d-2", 1234, "12.34"),
        ("d", 5, None),
        ("x", 255, "0xff"),
    ],
)
def test_display_hints(hint: str, value: bytes | int, shown: str | None) -> None:
    show = shower({}, hint)
    assert (show(value) if show else None) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        ("07ea030504070906", "2026-03-05T04:07:09.6"),
        ("07ea03050407090602d020", None),
        ("07ea0d0504070906", None),
        ("07ea0305040709062b0f00", None),
        ("07ea0305040709063f0100", None),
        ("07ea0305041b0906", "2026-03-05T04:27:09.6"),
        ("07ea0305041b3c00", "2026-03-05T04:27:60.0"),
        ("07ea0305041b3d00", None),
        ("", None),
    ],
)
def test_date_and_time(octets: str, shown: str | None) -> None:
    assert date_and_time(bytes.fromhex(octets)) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (bytes(3) + b"\x01", "0.0.0.1"),
        (b"\x0a\x00\x00\x01\x00\x00\x00\x07", "10.0.0.1%7"),
        (bytes.fromhex("fe80") + bytes(13) + b"\x01", "fe80::1"),
        (bytes.fromhex("fe80") + bytes(13) + b"\x01" + b"\x00\x00\x00\x03", "fe80::1%3"),
        (b"router.example", None),
        (b"core1.example.or", None),
    ],
)
def test_inet_address(octets: bytes, shown: str | None) -> None:
    assert inet_address(octets) == shown


@given(st.text("0123456789dxoat*:.-/", max_size=12), st.binary(max_size=40), st.integers())
@settings(deadline=None, max_examples=200)
def test_any_hint_shows_any_value_or_nothing(hint: str, octets: bytes, number: int) -> None:
    show = shower({1: "one"}, hint)
    assert show is not None
    for value in (octets, number, "1.3.6", None, 1.5):
        shown = show(value)
        assert shown is None or shown.isprintable()


# The compiler


def shown(index: MibIndex, oid: str, value: bytes | int | str) -> tuple[str, str | None]:
    label = index.instance("1.3.6.1.4.1.99999." + oid)
    assert label is not None
    show: Callable[[bytes | int | str], str | None] | None = label.show
    return label.name, show(value) if show else None


@pytest.mark.parametrize(
    ("oid", "value", "expected"),
    [
        ("1.2.1.1.7", b"\x01\x02", ("ACME-MIB::acmeMood.7", "01:02")),
        ("1.2.1.2.7", 2, ("ACME-MIB::acmeLamp.7", "on(2)")),
        ("1.2.1.2.7", 3, ("ACME-MIB::acmeLamp.7", None)),
        ("1.3.0", -1, ("ACME-MIB::acmeLevel.0", "low(-1)")),
        ("1.4.0", b"\x80\x40\x01", ("ACME-MIB::acmeFlags.0", "red(0) green(9) 23")),
        ("1.5.0", b"ABCDEF", ("ACME-MIB::acmeMac.0", "41:42:43:44:45:46")),
        ("1.6.0", bytes.fromhex("07ea030504070906"), ("ACME-MIB::acmeWhen.0", "2026-03-05T04:07:09.6")),
        ("1.7.0", 1, ("ACME-MIB::acmeTrue.0", "true(1)")),
        ("1.8.0", LINK_DOWN, ("ACME-MIB::acmeWhich.0", "IF-MIB::linkDown")),
        ("1.8.0", "1.3.6.1.4.1.99999.5", ("ACME-MIB::acmeWhich.0", "ACME-SMI::acmeRoot.5")),
        ("1.8.0", "1.3.6.1.2.1.2.2.1.1.7", ("ACME-MIB::acmeWhich.0", "IF-MIB::ifIndex.7")),
        ("1.9.0", 4, ("ACME-MIB::acmeCount.0", None)),
        ("1.10.0", 1, ("ACME-MIB::acmeAlias.0", "off(1)")),
    ],
)
def test_compiled_objects(acme: MibIndex, oid: str, value: bytes | int | str, expected: tuple[str, str | None]) -> None:
    assert shown(acme, oid, value) == expected


def test_compiled_traps(acme: MibIndex) -> None:
    assert acme.trap("1.3.6.1.4.1.99999.1.0.1") == Trap("ACME-MIB::acmeDown", ("ifIndex", "acmeMood"))
    assert acme.trap("1.3.6.1.4.1.99999.0.5") == Trap("ACME-SMI::acmeOld", ("acmeLevel",))


def test_nothing_stops_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "acme.mib").write_text(ACME)  # its root is nowhere
    (tmp_path / "again.mib").write_text(ACME)
    (tmp_path / "broken.mib").write_text("BROKEN-MIB DEFINITIONS ::= BEGIN\n\nfoo OBJECT-TYPE SYNTAX !\nEND\n")
    (tmp_path / "circle.mib").write_text(
        "CIRCLE-MIB DEFINITIONS ::= BEGIN\na OBJECT IDENTIFIER ::= { b 1 }\nb OBJECT IDENTIFIER ::= { a 1 }\nEND\n"
    )
    (tmp_path / "good.mib").write_text(
        "GOOD-MIB DEFINITIONS ::= BEGIN\ngood OBJECT IDENTIFIER ::= { enterprises 5 }\nEND\n"
    )
    (tmp_path / "notes.txt").write_text("nothing for us")
    (tmp_path / "image.bin").write_bytes(bytes(range(256)) + b"DEFINITIONS")
    table, findings = compile_folders([tmp_path], Table())
    assert table.nodes == {"1.3.6.1.4.1.5": "GOOD-MIB::good"}
    assert (table.traps, table.objects) == ({}, {})
    report = "\n".join(map(str, findings)).replace(str(tmp_path), "DIR")
    assert "DIR/broken.mib:3: cannot be parsed near: foo OBJECT-TYPE SYNTAX !" in report
    assert "acmeRoot is imported from ACME-SMI, which is in no folder; 14 names left out" in report
    assert "CIRCLE-MIB: a is defined by way of itself; 1 name left out" in report
    assert "ACME-MIB is also in DIR/acme.mib, which is used" in report
    assert "DIR/notes.txt: holds no MIB module" in report
    assert "DIR/image.bin" in report
    assert "CIRCLE-MIB" in report


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MuttError, match="no such folder"):
        compile_folders([tmp_path / "none"], Table())


def test_standard_traps_of_rfc_1215_get_their_names_of_today(tmp_path: Path) -> None:
    (tmp_path / "rfc1215.mib").write_text(
        "OLD-MIB DEFINITIONS ::= BEGIN\nlinkDown TRAP-TYPE ENTERPRISE snmp VARIABLES { ifIndex } ::= 2\nEND\n"
    )
    table, _ = compile_folders([tmp_path], Table())
    assert list(table.traps) == [LINK_DOWN]


def test_types_of_one_name_in_two_modules_stay_apart(tmp_path: Path) -> None:
    for letter, label in (("A", "one"), ("B", "two")):
        (tmp_path / f"{letter}.mib").write_text(
            f"{letter}-MIB DEFINITIONS ::= BEGIN\nState ::= INTEGER {{ {label}(1) }}\n"
            f"state{letter} OBJECT-TYPE SYNTAX State ACCESS read-only STATUS mandatory\n"
            f"::= {{ enterprises {ord(letter)} }}\nEND\n"
        )
    table, _ = compile_folders([tmp_path], Table())
    assert table.types == {"A-MIB::State": Type({1: "one"}), "B-MIB::State": Type({1: "two"})}
