"""A rule as the API takes and gives it; what is wrong with one, field by field. No I/O."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from muttd.event import Environment
from muttd.pipeline.queue.hits import Hits
from muttd.rules import Condition, Handling, MatchType, Rule, faults
from muttd.store.config import RULES, Row
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import Instant, Reason, read_values

COLUMNS: Final = RULES.columns

_NO_NUL: Final = r"^[^\x00]*$"
_Text200 = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
_Text255 = Annotated[str, Meta(max_length=255, pattern=_NO_NUL)]
_Text1024 = Annotated[str, Meta(max_length=1024, pattern=_NO_NUL)]
_Text4096 = Annotated[str, Meta(max_length=4096, pattern=_NO_NUL)]
_Severity = Annotated[int, Meta(ge=0, le=7)]


class RuleFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns of alert_rules that people write, with the bounds of sql/001_schema.sql."""

    match_type: MatchType
    prod_handling: Handling
    dev_handling: Handling
    name: _Text200 | None = None
    match_string: _Text4096 | None = None
    trap_oid: _Text1024 | None = None
    syslog_severity: _Severity | None = None
    severity_from: _Severity | None = None
    severity_to: _Severity | None = None
    facility: Annotated[int, Meta(ge=0, le=23)] | None = None
    host_pattern: _Text255 | None = None
    source_network: _Text255 | None = None
    app_name: _Text255 | None = None
    varbind_oid: _Text1024 | None = None
    varbind_value: _Text1024 | None = None
    environment: Environment | None = None
    negated: Annotated[tuple[Condition, ...], Meta(max_length=10)] = ()
    case_sensitive: bool = False
    priority: Annotated[int, Meta(ge=-(2**31) + 1, le=2**31 - 1)] = 100
    team_assignment: _Text200 | None = None
    moog_severity: Annotated[int, Meta(ge=0, le=5)] | None = None
    is_active: bool = True


class NewRule(RuleFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule, and why it is made."""

    reason: Reason | None = None


RuleChange = msgspec.defstruct(
    "RuleChange",
    [
        *((field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(RuleFields)),
        ("reason", Reason | None, None),
        # What a rule was shown with may be sent back, and is not looked at.
        *((name, Any, None) for name in ("id", "created_at", "updated_at", "version", "hits_24h", "last_hit")),
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={"__doc__": "What is to be different in a rule, and why; what is not given stays."},
    module=__name__,
)


class RuleShown(RuleFields, frozen=True, kw_only=True):
    """A rule, its version (also in ETag), and in a list what it decided in the last day."""

    id: int
    created_at: Instant
    updated_at: Instant
    version: str
    hits_24h: int | UnsetType = UNSET
    """Absent, as last_hit is, where Redis is away: it counts them."""
    last_hit: Instant | UnsetType | None = UNSET
    """None: never."""


class RuleList(msgspec.Struct, frozen=True):
    """Rules in the order in which they are asked."""

    items: list[RuleShown]


def shown(row: Row, hits: Hits | None = None) -> RuleShown:
    """The row as it is told."""
    more = {} if hits is None else {"hits_24h": hits.events, "last_hit": hits.last}
    return msgspec.convert({**row.content, "version": row.version, **more}, RuleShown)


def rule_faults(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The columns of a rule as JSON values, or every fault that there is."""
    read, found = read_values(values, RuleFields)
    if read is None:
        return {}, found
    columns: dict[str, Any] = orjson.loads(msgspec.json.encode(read))
    for line in faults(Rule(id=0, **{**columns, "negated": tuple(columns["negated"])})):
        name, _, reason = line.partition(": ")
        found.append(Fault(name, reason))
    return columns, found


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a rule that can be taken. Raises ProblemError 400 with a fault for each field that cannot."""
    columns, found = rule_faults(values)
    if found:
        raise ProblemError(400, "The rule cannot be accepted.", found)
    return columns
