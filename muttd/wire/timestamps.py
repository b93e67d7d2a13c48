"""Device times in every spelling that devices use, as RFC 3339 text.

A Clock reads for one zone: the one configured for the sender's network. No year: the year that puts the time nearest
to the receive time. No zone: the clock's. A zone name counts only where ZONES has it. A time that does not exist or
is more than a day ahead is not believed: it comes as None with a defect that quotes it.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

AHEAD = 86400.0
"""Seconds by which a device may be ahead of us; beyond that its time is not believed."""

MAX_REMEMBERED = 8192
"""Times without year, and days, that one clock remembers: about 250 octets each, two spellings of each second of an
hour. Beyond that the memory is cleared."""

ZONES = {
    **dict.fromkeys(("UTC", "GMT", "UCT", "WET"), 0.0),
    **dict.fromkeys(("BST", "CET", "MET", "MEZ", "WEST", "WAT"), 1.0),
    **dict.fromkeys(("CEST", "MEST", "MESZ", "EET", "SAST", "CAT"), 2.0),
    **dict.fromkeys(("EEST", "MSK", "EAT", "TRT", "IDT"), 3.0),
    "GST": 4.0,
    "PKT": 5.0,
    "IST": 5.5,
    "NPT": 5.75,
    "BDT": 6.0,
    "ICT": 7.0,
    "WIB": 7.0,
    **dict.fromkeys(("AWST", "HKT", "SGT", "MYT", "PHT", "WITA"), 8.0),
    "JST": 9.0,
    "KST": 9.0,
    "ACST": 9.5,
    "AEST": 10.0,
    "ACDT": 10.5,
    "AEDT": 11.0,
    "NZST": 12.0,
    "NZDT": 13.0,
    "NDT": -2.5,
    "NST": -3.5,
    "BRST": -2.0,
    "BRT": -3.0,
    "ART": -3.0,
    "CLST": -3.0,
    "CLT": -4.0,
    "VET": -4.0,
    "COT": -5.0,
    "PET": -5.0,
    "AST": -4.0,
    "ADT": -3.0,
    "EDT": -4.0,
    "EST": -5.0,
    "CDT": -5.0,
    "CST": -6.0,
    "MDT": -6.0,
    "MST": -7.0,
    "PDT": -7.0,
    "PST": -8.0,
    "AKDT": -8.0,
    "AKST": -9.0,
    "HST": -10.0,
}
"""Hours east of UTC. If a name has several meanings (CST, IST, BST), the one that most devices mean."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = f"(?P<month>(?i:{'|'.join(_MONTHS)}))[A-Za-z]{{0,6}}"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? "
_DAY = r"(?P<day>\d{1,2})"
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,:](?P<fraction>\d{1,24})(?:\.\d{1,3})?(?!\d))?"
    r"(?: (?P<half>[AaPp])[Mm](?:\.(?P<late_fraction>\d{1,12}))?(?!\w))?"  # Cisco UCM: 05:50:19 AM.484
)
_ZONE = (
    r"(?:(?P<utc>[Zz]| Z)(?![\w-])"
    r"| ?(?:UTC|GMT)?(?P<offset>[+-]\d\d(?::?\d\d)?)(?![\w.-])(?: DST(?= ))?"
    r"| (?:TZ|UTC|GMT)(?P<hours>[+-]\d)(?=[ :])"
    rf"| ?(?P<name>{'|'.join(sorted(ZONES, key=len, reverse=True))})(?=[\s:,\]]|$)"
    # After whole seconds, a word with a colon may just as well be the host name.
    r"|(?(fraction) (?P<unknown>[A-Z]{2,5})(?=: *(?:%|$))|(?!)))?"
)
_MONTH_FIRST = re.compile(
    # Oct  3 04:05:06 · Mar 06 2026 12:53:10 · Mar 5 2026 04:07:09+08:00 · Mar 05 04:07:09 2026 · Tue Mar  3 04:05:06
    rf"(?:{_WEEKDAY})?{_MONTH} +{_DAY}(?:,? {_YEAR})?,? +{_CLOCK}{_ZONE}"
    r"(?: (?P<late_year>(?:19|20)\d\d)(?=\s|: |$)"
    rf"(?: (?P<late_name>{'|'.join(sorted(ZONES, key=len, reverse=True))})(?=[\s:]|$))?)?",
    re.ASCII,
)
_DIGIT_FIRST = (
    # 2026-03-05T04:07:09.612+02:00 · 2026-03-05 04:07:09,612 +0000 · 2026/03/05 04:07:09 · 2026-03-05T04:07Z ·
    # 2026:03:05-04:07:09 (Sophos UTM) · 2026/03/05:04:07:09 GMT (NetScaler)
    re.compile(
        rf"(?P<year>\d{{4}})(?P<dash>[-/:])(?P<digits>\d{{1,2}})(?P=dash){_DAY}(?:[Tt]| {{1,2}}|[-_/:](?=\d\d:))"
        rf"(?:{_CLOCK}|(?P<hour_only>\d\d):(?P<minute_only>\d\d)(?=[Z+\s-]|$)){_ZONE}(?![\d:])",
        re.ASCII,
    ),
    # 2026 Mar 06 09:22:34 CET
    re.compile(rf"{_YEAR} {_MONTH} +{_DAY} +{_CLOCK}{_ZONE}", re.ASCII),
    # 5 Mar 2026 04:07:09 · 05-Mar-2026 04:07:09 · 05/Mar/2026:04:07:09 +0000 · Thu, 05 Mar 2026 04:07:09 +0100
    re.compile(rf"(?:{_WEEKDAY})?{_DAY}(?P<dash>[-/ ]){_MONTH}(?P=dash){_YEAR}[ :]{_CLOCK}{_ZONE}", re.ASCII),
    # 03/05/2026:04:07:09 GMT
    re.compile(rf"(?P<first>\d\d)/(?P<digits>\d\d)/{_YEAR}[: ]{_CLOCK}{_ZONE}", re.ASCII),
)
_YEAR_FIRST, _YEAR_MONTH, _DAY_FIRST = _DIGIT_FIRST[:3]
_EPOCH = re.compile(r"([12]\d{9})(?:\.(\d{1,9}))?(?=\s|$)", re.ASCII)
# The two spellings that most messages use, if no zone, year or half of the day follows.
_COMMON = re.compile(
    r"([A-Z][a-z]{2} [ \d]\d (?:20\d\d )?\d\d:\d\d:\d\d)(\.\d{1,6})?"
    r"(?=:? (?! ?(?:[A-Z]{1,5}|[ap]m|(?:19|20)\d\d)[ :.]|[+-]\d|(?:TZ|UTC|GMT)[+-])|$)",
    re.ASCII,
)
_COMMON_ISO = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(Z|[+-]\d\d:[0-5]\d)(?=[ :]|$)", re.ASCII
)
_OPENS_MONTH_FIRST = frozenset("JFMASONDTWjfmasond")


class Stamp(NamedTuple):
    """A time found in a text. `time` is RFC 3339, with the device's own offset if it gave one."""

    time: str | None
    end: int
    defect: str | None = None
    iso: bool = False
    """It was written year first, as RFC 5424 demands."""


class Clock:
    """Reads times for devices of one zone."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self._hour = 0.0
        self._short: dict[str, tuple[str, float] | None] = {}
        self._twice: dict[
            str, tuple[tuple[str, float], tuple[str, float]]
        ] = {}  # in the hour of a change of the clocks
        self._hours: dict[str, float] = {}

    def read(self, text: str, position: int, received: float) -> Stamp | None:
        """The time at `position`; None if there is none. `received` is in seconds since 1970."""
        opening = text[position : position + 1]
        if opening in _OPENS_MONTH_FIRST:
            common = _COMMON.match(text, position)
            known = self.short(common[1], received) if common else None
            if common and known and known[1] - received <= AHEAD:
                fraction = common[2] or ""
                return Stamp(known[0][:19] + fraction + known[0][19:], common.end())
            match = _MONTH_FIRST.match(text, position) or _DAY_FIRST.match(text, position)
            return self._stamp(match, received) if match else None
        if opening.isdigit():
            common = _COMMON_ISO.match(text, position)
            # An hour that began less than 23 hours ahead holds no time that is a day ahead.
            if common and self.hour_epoch(common[1], common[2]) - received <= AHEAD - 3600:
                return Stamp(common[0], common.end(), iso=True)
            for form in _DIGIT_FIRST:
                match = form.match(text, position)
                if match:
                    return self._stamp(match, received)
        return None

    def read_epoch(self, text: str, position: int, received: float) -> Stamp | None:
        """Seconds since 1970 at `position`, with a fraction of any length; always UTC."""
        match = _EPOCH.match(text, position)
        if not match:
            return None
        seconds = int(match[1])
        if seconds - received > AHEAD:
            return Stamp(None, match.end(), f"device time {match[0]} is more than a day ahead")
        fraction = f".{match[2][:6]}" if match[2] else ""
        return Stamp(_text(datetime.fromtimestamp(seconds, UTC), fraction, "Z"), match.end())

    def short(self, stamp: str, received: float) -> tuple[str, float] | None:
        """`Mmm dd hh:mm:ss` (RFC 3164 section 4.1.2), also with the year before the hour or the month, or `yyyy-mm-dd
        hh:mm:ss`, each also with a zone of ZONES behind, as RFC 3339 text and epoch.

        None if it does not exist.
        """
        if not self._hour <= received < self._hour + 3600:
            self._hour = received // 3600 * 3600
            self._short.clear()
            self._twice.clear()
        try:
            return self._short[stamp]
        except KeyError:
            if both := self._twice.get(stamp):
                return min(both, key=lambda either: abs(either[1] - received))
        if len(self._short) + len(self._twice) >= MAX_REMEMBERED:
            self._short.clear()
            self._twice.clear()
        read = None
        if stamp.startswith("2"):
            match = _YEAR_FIRST.fullmatch(stamp) or _YEAR_MONTH.fullmatch(stamp)
        else:
            match = _MONTH_FIRST.fullmatch(stamp)
        if match:
            found = match.groupdict()
            zone, _, _ = self._zone(found)
            moment = (
                _moment(found, int(found["year"]), zone) if found["year"] else self._nearest(found, self._hour, zone)
            )
            if moment:
                other = moment.replace(fold=1)
                read = _text(moment, "", None), moment.timestamp()
                if other.utcoffset() != moment.utcoffset():  # which one is meant depends on the minute too
                    both = self._twice[stamp] = read, (_text(other, "", None), other.timestamp())
                    return min(both, key=lambda either: abs(either[1] - received))
        self._short[stamp] = read
        return read

    def hour_epoch(self, hour: str, offset: str) -> float:
        """When the hour `yyyy-mm-ddThh` at `offset` (Z or +hh:mm) began, in seconds since 1970; infinite if it does not
        exist, so that no caller believes it."""
        key = hour + offset
        try:
            return self._hours[key]
        except KeyError:
            pass
        if len(self._hours) >= MAX_REMEMBERED:
            self._hours.clear()
        try:
            epoch = datetime.fromisoformat(f"{hour}:00:00{offset}").timestamp()
        except (ValueError, OverflowError):
            epoch = float("inf")
        self._hours[key] = epoch
        return epoch

    def _stamp(self, match: re.Match[str], received: float) -> Stamp:
        found = match.groupdict()
        iso = match.re is _YEAR_FIRST
        zone, offset, defect = self._zone(found)
        digits = found["fraction"] or found["late_fraction"]
        fraction = f".{digits[:6]}" if digits else ""
        if found["second"] == "60":
            found["second"], defect = "59", "leap second read as the second before"
        if found.get("first"):
            moment, defect = _day_month_either_way(found, zone, received)
        elif found.get("year") or found.get("late_year"):
            moment = _moment(found, int(found["year"] or found["late_year"]), zone)
        else:
            moment = self._nearest(found, received, zone)
        if moment is None:
            return Stamp(None, match.end(), defect or f"device time {match[0]} does not exist", iso)
        moment = _nearer_fold(moment, received)
        if moment.timestamp() - received > AHEAD:
            return Stamp(None, match.end(), f"device time {match[0]} is more than a day ahead", iso)
        return Stamp(_text(moment, fraction, offset), match.end(), defect, iso)

    def _zone(self, found: dict[str, str | None]) -> tuple[tzinfo, str | None, str | None]:
        """The zone that the stamp names, else the configured one; the stamp's offset; a defect."""
        if found["utc"]:
            return UTC, "Z", None
        if east := found["hours"]:
            return timezone(timedelta(hours=int(east))), None, None
        if offset := found["offset"]:
            digits = offset[1:].replace(":", "").ljust(4, "0")
            hours, minutes = int(digits[:2]), int(digits[2:])
            if hours < 24 and minutes < 60:
                shift = timedelta(hours=hours, minutes=minutes)
                return timezone(-shift if offset[0] == "-" else shift), f"{offset[0]}{digits[:2]}:{digits[2:]}", None
            return self.zone, None, f"offset {offset} cannot be right"
        if name := found["name"] or found.get("late_name"):
            return timezone(timedelta(hours=ZONES[name])), None, None
        if unknown := found["unknown"]:
            return self.zone, None, f"zone {unknown} unknown, read in the configured one"
        return self.zone, None, None

    def _nearest(self, found: dict[str, str | None], received: float, zone: tzinfo) -> datetime | None:
        """The moment without year in the year that puts it nearest to `received`."""
        this_year = datetime.fromtimestamp(received, UTC).year
        moments = [_moment(found, year, zone) for year in (this_year, this_year - 1, this_year + 1)]
        return min(
            (moment for moment in moments if moment),
            key=lambda moment: abs(moment.timestamp() - received),
            default=None,
        )


def _moment(found: dict[str, str | None], year: int, zone: tzinfo) -> datetime | None:
    """The moment in `year`; None if it does not exist in calendar or clock."""
    name = found.get("month")
    month = _MONTHS.index(name.lower()) + 1 if name else int(found["digits"] or 0)
    return _existing(found, year, month, int(found["day"] or 0), zone)


def _existing(found: dict[str, str | None], year: int, month: int, day: int, zone: tzinfo) -> datetime | None:
    hour = int(found["hour"] or found.get("hour_only") or 0)
    if half := found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    minute = int(found["minute"] or found.get("minute_only") or 0)
    try:
        moment = datetime(year, month, day, hour, minute, int(found["second"] or 0), tzinfo=zone)
        moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return moment


def _nearer_fold(moment: datetime, received: float) -> datetime:
    """Of the two moments that a time in the hour of a clock change can mean, the one nearer to `received`."""
    other = moment.replace(fold=1)
    if other.utcoffset() == moment.utcoffset():
        return moment
    return min(moment, other, key=lambda either: abs(either.timestamp() - received))


def _day_month_either_way(
    found: dict[str, str | None], zone: tzinfo, received: float
) -> tuple[datetime | None, str | None]:
    """03/05/2026 as the receive time allows: devices can be set to send month or day first."""
    year, first, second = (int(found[key] or 0) for key in ("year", "first", "digits"))
    readings = {_existing(found, year, first, second, zone), _existing(found, year, second, first, zone)} - {None}
    possible = [moment for moment in readings if moment and moment.timestamp() - received <= AHEAD]
    now = [moment for moment in possible if received - moment.timestamp() <= AHEAD]
    for moments in (now, possible):
        if len(moments) == 1:
            return moments[0], None
    date = f"{found['first']}/{found['digits']}/{found['year']}"
    return None, f"date {date} " + ("can be read in two ways" if possible else "cannot be right")


def _text(moment: datetime, fraction: str, offset: str | None) -> str:
    """RFC 3339 text with the device's own `offset`; UTC that nobody spelled is Z, other offsets are to the minute."""
    text = moment.isoformat(timespec="seconds")
    return text[:19] + fraction + (offset or ("Z" if moment.tzinfo is UTC else text[19:25]))
