"""What a file of rules would change: which rules come, which go, which are different and in what. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from muttd.web.problems import Fault
from muttd.web.rule_forms import COLUMNS

Mode = Literal["replace", "merge"]
"""replace: the file is all there is, what is not in it goes. merge: what is not in it stays."""


class WantedRule(msgspec.Struct, frozen=True):
    """One rule of a file."""

    place: int
    """In the file, from 0."""
    id: int | None
    columns: dict[str, Any]
    """All that people write, as JSON values."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that comes, goes or changes. In a change `before` and `after` have the fields that differ."""

    name: str | None
    id: int | None = None
    place: int | None = None
    """In the file, from 0; None for one that goes."""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes."""

    created: list[Difference]
    changed: list[Difference]
    deleted: list[Difference]
    unchanged: int


def plan(present: Sequence[Mapping[str, Any]], wanted: Sequence[WantedRule], mode: Mode) -> tuple[Plan, list[Fault]]:
    """From the `present` rules to the `wanted` ones, and the faults of those that cannot be told apart.

    A wanted rule with an id is the present one with it. Without id it is the only present one with its name that no id
    claims, else a new one.
    """
    by_id = {rule["id"]: rule for rule in present}
    claimed = {rule.id for rule in wanted if rule.id is not None}
    by_name: dict[str | None, list[Mapping[str, Any]]] = {}
    for one in present:
        if one["id"] not in claimed:
            by_name.setdefault(one["name"], []).append(one)
    created, changed, faults, unchanged = [], [], [], 0
    kept = set()
    for rule in wanted:
        name = rule.columns["name"]
        twins = by_name.get(name, []) if rule.id is None and name else []
        found = by_id.get(rule.id) if rule.id is not None else twins[0] if len(twins) == 1 else None
        if len(twins) > 1:
            ids = ", ".join(str(twin["id"]) for twin in twins[:5])
            faults.append(
                Fault(f"rules[{rule.place}].name", f"“{name}” is the name of {len(twins)} rules: give the id ({ids})")
            )
        elif rule.id is not None and found is None:
            reason = "no rule has this id; a new rule gets one by itself, leave it out"
            faults.append(Fault(f"rules[{rule.place}].id", f"{rule.id}: {reason}"))
        elif found is None:
            created.append(Difference(name=name, place=rule.place, after=rule.columns))
        else:
            kept.add(found["id"])
            different = [column for column, value in rule.columns.items() if found[column] != value]
            if different:
                before, after = ({column: side[column] for column in different} for side in (found, rule.columns))
                changed.append(Difference(name=name, id=found["id"], place=rule.place, before=before, after=after))
            else:
                unchanged += 1
    deleted = [
        Difference(name=one["name"], id=one["id"], before={name: one[name] for name in COLUMNS})
        for one in present
        if mode == "replace" and one["id"] not in kept
    ]
    return Plan(created=created, changed=changed, deleted=deleted, unchanged=unchanged), faults
