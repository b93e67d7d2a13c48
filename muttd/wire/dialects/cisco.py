"""Cisco IOS, IOS-XE, IOS-XR, NX-OS, ASA, FTD, UCM, UCS, ACI, wireless; Arista EOS: all write %FAC-SEVERITY-MNEMONIC.

What precedes the mnemonic comes in any selection and nearly any order, depending on `logging origin-id`, `service
sequence-numbers`, `service timestamps` and the relays in between:

    [sequence:] [host:] [counter:] [*task:] [node:][*.]TIME[ ZONE]: [host] [program[pid]:] [%MNEMONIC:] text

so the header is read part by part. The mnemonic opens the message, because rules match on it. `*` or `.` before the
time says that the clock is not synchronised (IOS: never set, or lost its source).
"""

import re

from muttd.wire.dialects import Body, Header, Plain
from muttd.wire.interfaces import interface_in
from muttd.wire.levels import NO_HOSTS
from muttd.wire.reading import OWN_ID, Reading
from muttd.wire.rfc5424 import structured_data
from muttd.wire.timestamps import AHEAD, ZONES, Clock, Stamp

_UNIT = r"(?:%[A-Z]\w{0,30}-[A-Z]:\w{1,20} |%\$ VDC-\d{1,3} [%$]{2} )?"
"""Dell Force10: %STKUNIT0-M:CP %IFMGR-5-OSTATE_UP. NX-OS: %$ VDC-1 %$ %ETHPORT-5-IF_UP."""
_SEVERITY = r"(?:\d|[ACDEFINW])"  # small-business switches write its first letter: %LINK-W-Down
_MNEMONIC = re.compile(rf"(?<![^\s:]){_UNIT}[%#](?P<mnemonic>[A-Z][\w-]{{0,60}}?-{_SEVERITY}-[\w-]{{1,80}})(?=\s|:|$)")
_HEADER_LIMIT = 250
"""Characters before the mnemonic; anything longer is not a header."""

# Most devices' layouts in one piece. Any other is read part by part.
_PLAIN = (
    r"(?:(?P<sequence>\d{1,12}): |: )?(?:(?P<origin>[A-Za-z][\w.-]{0,254}): )?(?P<mark>[*.])?"
    r"(?P<stamp>(?:[A-Z][a-z]{2} [ \d]\d (?:20\d\d )?|20\d\d [A-Z][a-z]{2} [ \d]\d )\d\d:\d\d:\d\d)"
    r"(?P<fraction>\.\d{1,6})?"
    r"(?:: | (?P<zone>[A-Z]{3,4}): | (?P<host>[A-Za-z][\w.-]{0,254}(?<![A-Z]))(?: ?:)? )"
    rf"(?=%(?P<mnemonic>[A-Z][\w-]{{0,60}}?-{_SEVERITY}-[\w-]{{1,80}})(?=\s|:|$))"
)
_HEADER = re.compile(rf"(){_PLAIN}", re.ASCII).match
_MESSAGE = re.compile(rf"<(\d{{1,3}})>{_PLAIN}", re.ASCII).match

_GAP = re.compile(r"(?:\s|:(?!:[\da-fA-F]))+")  # not the colons that open ::1
_SEQUENCE = re.compile(r"\d{1,12}(?=: |:$|:[*.]|:[A-Z](?![\dA-F]{0,3}:))")  # not what opens 2001:DB8::1
_UPTIME = re.compile(r"(?:\d{1,4}:\d\d:\d\d(?:\.\d+)?|\d+[ywdhm]\d+[wdhms]|\d+ \d+)(?=:)")
_NODE = re.compile(r"\[\d{4}\](?=:)|(?:[A-Z]{1,3}/)?\d{1,3}/[A-Z0-9]{1,4}(?:/[A-Z0-9]{1,8}){0,2}(?=:)")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BEFORE_TIME = re.compile(rf"[\s:]+(?:\d{{1,12}}: |\*[A-Za-z]\w*: )?[*.]?(?:(?:\d{{4}} )?{_MONTH} |\d{{4}}-\d\d-\d\dT)")
_UNNAMED = re.compile(
    r"(?:(?P<sequence>\d{1,12}): |(?P<unnumbered>: ))?"
    r"(?:(?P<host>[A-Za-z][\w.-]{0,254}|[\w.:]{3,39}?): )?(?:(?P<counter>\d{1,12}): )?"
    rf"(?:\*(?P<task>[A-Za-z]\w*): )?(?:(?P<node>{_NODE.pattern}):)?(?P<mark>[*.])?(?=(?:\d{{4}} )?{_MONTH} )"
)
_TASK = re.compile(r"\*[A-Za-z]\w*(?=: )")
_PROGRAM = re.compile(r"([A-Za-z_][\w./()@-]{0,63})(?:\[(\w{1,20})\](?: ?:|(?= ))|:(?!:))")
_HOST = re.compile(rf"(?=[\w:.-]*[\w])(?:::)?[\w][\w./:-]{{0,254}}?(?= ?: | ?:$| |$|:{_MONTH} )")
_ELEMENT = re.compile(r"\[syslog@9 ")
"""Structured data of IOS in its own header (logging host … session-id)."""


def read_plain(fields: re.Match[str], clock: Clock, received: float) -> Reading | None:
    """The header in its most common forms; None if its time is not believed or it names two hosts."""
    _, sequence, origin, mark, stamp, fraction, zone, host, mnemonic = fields.groups()
    if zone:
        time = clock.short(f"{stamp} {zone}", received) if zone in ZONES else None
    else:
        time = clock.short(stamp, received)
    if not time or time[1] - received > AHEAD or (origin and host):
        return None
    text, at = fields.string, fields.end()
    own = {"mnemonic": mnemonic}
    if sequence:
        own["sequence"] = sequence
    if mark:
        own["clock"] = "unsynchronised"
    if interface := interface_in(text, at + len(mnemonic) + 1):
        own["interface"] = interface
    when = time[0]
    return Reading(
        text[at:],
        f"{when[:19]}{fraction}{when[19:]}" if fraction else when,
        origin or host,
        app_name=mnemonic,
        structured_data={OWN_ID: own},
        complete=True,
    )


def read_header(text: str, clock: Clock, received: float) -> Reading | None:
    """The header up to the mnemonic; None if a part is not known."""
    plain = _HEADER(text)
    return (plain and read_plain(plain, clock, received)) or _read_parts(text, clock, received)


def _read_parts(text: str, clock: Clock, received: float) -> Reading | None:
    mnemonic = _MNEMONIC.search(text, text.find("%"), _HEADER_LIMIT)
    if not mnemonic:
        return None
    header = text[: mnemonic.start()]
    reading = Reading(text[mnemonic.start() :])
    position, times = _after_gap(header, 0), 0
    while 0 <= position < len(header):
        program = None if _NODE.match(header, position) else _PROGRAM.match(header, position)
        if program and (program[2] or (reading.hostname and not _BEFORE_TIME.match(header, program.end(1)))):
            reading.app_name, reading.proc_id = program[1], program[2]
            reading.message = text[program.end() :].removeprefix(" ")
            return reading
        unsynchronised = header[position] in "*."
        stamp = clock.read(header, position + unsynchronised, received)
        if stamp and times < 2:
            times += 1
            _take_time(reading, stamp, times)
            if unsynchronised:
                reading.found(clock="unsynchronised")
            position = _after_gap(header, stamp.end)
        else:
            position = _after_gap(header, _part(header, position, reading))
    return reading if position >= 0 else None


def _take_time(reading: Reading, stamp: Stamp, number: int) -> None:
    """The first time is the message's; a second one is the device's own behind a relay's header."""
    if number == 1:
        reading.time = stamp.time
        if stamp.defect:
            reading.defects.append(stamp.defect)
    else:
        reading.found(origin_time=stamp.time)


def _after_gap(header: str, position: int) -> int:
    gap = _GAP.match(header, position) if position >= 0 else None
    return gap.end() if gap else position


def _part(header: str, start: int, reading: Reading) -> int:
    """Reads one part that is not a time; returns its end, or -1 if it is not known."""
    found = (reading.structured_data or {}).get("mutt", {})
    if part := _UPTIME.match(header, start):
        reading.found(uptime=part[0])
    elif part := _SEQUENCE.match(header, start):
        reading.found(**{"counter" if "sequence" in found else "sequence": part[0]})
    elif part := _NODE.match(header, start):
        reading.found(node=part[0])
    elif part := _TASK.match(header, start):
        reading.found(task=part[0][1:])
    elif _ELEMENT.match(header, start) and (data := structured_data(header, start)):
        reading.structured_data = {**data[0], **(reading.structured_data or {})}
        return data[1]
    elif (part := _HOST.match(header, start)) and part[0] in NO_HOSTS:
        return -1
    elif part and not reading.hostname:
        reading.hostname = part[0]
    elif part and "origin" not in found and (_BEFORE_TIME.match(header, part.end()) or header[part.end() :] == " : "):
        reading.found(origin=part[0])
    else:
        return -1
    return part.end()


def read_unnamed(text: str, clock: Clock, received: float) -> Reading | None:
    """A header of IOS or IOS-XR without a mnemonic, such as in debug output; None if it might not be one."""
    opening = _UNNAMED.match(text)
    if not opening or not (
        (opening["unnumbered"] and opening["host"]) or any(opening.group("sequence", "task", "node", "mark"))
    ):
        return None
    stamp = clock.read(text, opening.end(), received)
    if not stamp or not text.startswith((":", " :"), stamp.end):
        return None
    reading = Reading(text[_after_gap(text, stamp.end) :], hostname=opening["host"])
    _take_time(reading, stamp, 1)
    found = opening.groupdict()
    reading.found(**{name: found[name] for name in ("sequence", "counter", "task", "node")})
    if opening["mark"]:
        reading.found(clock="unsynchronised")
    program = _PROGRAM.match(reading.message)
    if program and program[2]:
        reading.app_name, reading.proc_id = program[1], program[2]
        reading.message = reading.message[program.end() :].removeprefix(" ")
    return reading


def read_mnemonic(reading: Reading) -> bool:
    """The mnemonic, which is also the program's name if there is none, and the interface that the text is about."""
    sequence = _SEQUENCE.match(reading.message) if reading.message[0].isdigit() else None
    start = sequence.end() + 2 if sequence else 2 if reading.message.startswith(": ") else 0
    mnemonic = _MNEMONIC.match(reading.message, start)
    if not mnemonic:
        return False
    reading.app_name = reading.app_name or mnemonic["mnemonic"]
    if sequence:
        reading.found(sequence=sequence[0])
    reading.found(mnemonic=mnemonic["mnemonic"], interface=interface_in(reading.message, mnemonic.end()))
    reading.message = reading.message[start:]
    return True


PLAIN = (Plain(_MESSAGE, read_plain),)
HEADERS = (
    Header(r"[^%]{0,250}%(?:[A-Z]|\$ VDC-)", read_header),
    Header(r"[\w.:-]{1,80}: [*.\w]|[*.][A-Z]|[A-Z]{1,3}/\d|: [\w.-]+: ", read_unnamed),
)
BODIES = (
    Body(r"[%#][A-Z]", read_mnemonic),
    Body(r"%\$ VDC-", read_mnemonic),
    Body(r"\d{1,12}: (?:[%#][A-Z]|%\$ VDC-)", read_mnemonic),
    Body(r": %[A-Z]", read_mnemonic),
)
