"""Files of rules, what they would change, and what exports do to text: without a server."""

import csv
import io
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.rules import Rule
from muttd.store import AuditEntry
from muttd.web.exports import COLUMNS as EXPORTED
from muttd.web.exports import as_csv, as_json_lines
from muttd.web.problems import ProblemError
from muttd.web.rule_files import read, written
from muttd.web.rule_forms import COLUMNS, RuleChange, RuleFields, checked
from muttd.web.rule_plan import WantedRule, plan

USUAL = {"match_type": "contains", "match_string": "a", "prod_handling": "Ignore", "dev_handling": "Ignore"}
FILE = """
rules:
- name: Fans
  match_type: contains
  match_string: fan failed
  prod_handling: Page_only
  dev_handling: Log_only
"""

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


def stored(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "created_at": "…", **checked({**USUAL, **fields})}


def refused(text: str | bytes) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read(text.encode() if isinstance(text, str) else text)
    return caught.value


def test_the_form_of_a_rule_has_the_columns_of_a_rule() -> None:
    names = {field.name for field in msgspec.structs.fields(RuleFields)}
    assert names == set(COLUMNS) == set(Rule.__struct_fields__) - {"id"}
    assert names <= {field.name for field in msgspec.structs.fields(RuleChange)}


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": TEXT, "match_string": TEXT.filter(bool)},
            optional={
                "app_name": TEXT,
                "team_assignment": st.sampled_from(
                    ["no", "1e3", "2026-01-01", "~", "0x1f", "1:30", "null", "'", "a: b #c"]
                ),
                "priority": st.integers(-(2**31) + 1, 2**31 - 1),
                "facility": st.integers(0, 23),
                "is_active": st.booleans(),
                "negated": st.just(["match_string"]),
            },
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_again_and_changes_nothing(rules: list[dict[str, Any]]) -> None:
    present = [stored(number, **fields) for number, fields in enumerate(rules, 1)]
    text = written(present)
    made, faults = plan(present, read(text.encode()), "replace")
    assert faults == []
    assert (made.created, made.changed, made.deleted, made.unchanged) == ([], [], [], len(present))
    assert all(one.isprintable() or one == "\n" for one in re.sub(r"[^\x00-\x1f\x7f-\x9f]", "", text))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200) | st.text(alphabet="rules:-[]{}&*!|>'\"# \n\tab1~,?%@`", max_size=100).map(str.encode))
def test_any_file_is_read_or_refused(text: bytes) -> None:
    try:
        read(text)
    except ProblemError as problem:
        assert problem.status in {400, 413}
        assert problem.detail


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (FILE.replace("fan failed", "[a"), "", "line"),
        (FILE.replace("contains", "glob"), "rules[0].match_type", "“Fans”, line 3"),
        (FILE.replace("Page_only", "Page"), "rules[0].prod_handling", "must be one of Page_and_ticket"),
        (FILE.replace("name:", "nane:"), "rules[0].nane", "did you mean name?"),
        (FILE + "  priority: high\n", "rules[0].priority", "line 3"),
        (FILE + "  app_name: no\n", "rules[0].app_name", "got `bool`"),
        (FILE + "  name: Twice\n", "", "name is given twice at line 8"),
        (FILE + FILE.partition("rules:\n")[2], "rules[1].name", "rules[0]"),
        (FILE.replace("name: Fans", "id: 0"), "rules[0].id", "positive"),
        (FILE.replace("name: Fans", "priority: 1"), "rules[0].name", "recognised by its name"),
        (FILE.replace("fan failed", "&a fan"), "", "anchors and aliases are not taken at line 5"),
        ("rules: !!python/object/apply:os.system [id]", "", "tags are not taken"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nrules: [*b,*b]", "", "anchors"),
        ("rules: " + "[" * 5000, "", "too deep"),
        ("rules: [{negated: [[[1]]]}]", "", "too deep"),
        ("rules: [7]", "rules[0]", "must be a rule"),
        ("rules: []\n---\nrules: []", "", "second document"),
        ("rules: []\nrule: 1", "rules", "must be a list"),
        ("? [a]\n: b", "", "a name must be text"),
    ],
)
def test_a_fault_is_named_with_its_rule_and_line(text: str, field: str, reason: str) -> None:
    problem = refused(text)
    assert problem.faults[0].field == field
    assert reason in problem.faults[0].reason


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"", b"7", b"rules: [" + b"{}," * 10_001 + b"]"])
def test_what_is_no_file_of_rules(text: bytes) -> None:
    refused(text)


def wanted(place: int, number: int | None = None, **fields: Any) -> WantedRule:
    return WantedRule(place, number, checked({**USUAL, **fields}))


def test_rules_are_found_by_id_then_by_name() -> None:
    present = [stored(1, name="A"), stored(2, name="B"), stored(3, name="C"), stored(4, name=None)]
    found, faults = plan(
        present, [wanted(0, 2, name="A"), wanted(1, name="C", priority=5), wanted(2, name="D")], "replace"
    )
    assert faults == []
    assert [(one.id, one.before, one.after) for one in found.changed] == [
        (2, {"name": "B"}, {"name": "A"}),
        (3, {"priority": 100}, {"priority": 5}),
    ]
    assert [one.name for one in found.created] == ["D"]
    assert [one.id for one in found.deleted] == [1, 4]
    merged, _ = plan(present, [wanted(0, name="A")], "merge")
    assert (merged.deleted, merged.unchanged) == ([], 1)


def test_rules_that_cannot_be_told_apart_are_refused() -> None:
    present = [stored(1, name="A"), stored(2, name="A")]
    _, faults = plan(present, [wanted(0, name="A"), wanted(1, 9, name="B")], "merge")
    assert [fault.field for fault in faults] == ["rules[0].name", "rules[1].id"]
    assert "give the id (1, 2)" in faults[0].reason
    by_id, faults = plan(present, [wanted(0, 1, name="A"), wanted(1, name="A")], "replace")
    assert (faults, by_id.unchanged) == ([], 2)


# Exports.

HOSTILE = st.text(alphabet=st.sampled_from("=+-@\t\r\n\x1b\x9b\x7f\x00\u202e\u2028\ufeff＝＋,;\"' aÄ😀"), max_size=20)


def entry(text: str) -> AuditEntry:
    now = datetime(2026, 3, 5, 4, 7, 9, tzinfo=UTC)
    return AuditEntry(
        event_timestamp=now, received_at=now, device_timestamp=None, event_id="0" * 32, severity=3, rule_id=-1,
        kind="syslog", hostname=text, handling="Ignore", team=text, environment="prod", app_name=text, rule_name=text,
        message=text, event=msgspec.Raw(msgspec.json.encode({"message": text})),
    )  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(HOSTILE)
def test_no_text_begins_a_formula_or_steers_a_terminal(text: str) -> None:
    written_csv = as_csv([entry(text)]).decode()
    (cells,) = csv.reader(io.StringIO(written_csv, newline=""))
    assert len(cells) == len(EXPORTED)
    for name, cell in zip(EXPORTED, cells, strict=True):
        if name != "rule_id":
            assert not re.match(r"\s*[=+\-@\t\r\uff1d\uff0b]", cell)
    lines = as_json_lines([entry(text)]).decode()
    for output in (written_csv.removesuffix("\r\n"), lines.removesuffix("\n")):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\u2028\ufeff]", output)
    assert msgspec.json.decode(lines)["message"] == text  # nothing is lost
    assert msgspec.json.decode(lines)["event"] == {"message": text}
