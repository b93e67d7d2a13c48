"""What a reader of one header format returns: the fields of the message, before they become an Event."""

from typing import cast

import msgspec

OWN_ID = "mutt"
"""The SD-ID of our own findings: sequence, mnemonic, interface, clock, origin, repeat (RFC 5424 section 6.3.2 form
without `@`, which no device may use for itself)."""


class Reading(msgspec.Struct, gc=False):
    """Fields as in muttd.event.Event; `time` is None if the message has none that can be read."""

    message: str
    time: str | None = None
    hostname: str | None = None
    app_name: str | None = None
    proc_id: str | None = None
    msg_id: str | None = None
    structured_data: dict[str, dict[str, str]] | None = None
    defects: list[str] = msgspec.field(default_factory=list)
    complete: bool = False
    """The header's reader has also read the message: no body dialect is asked."""

    def found(self, **findings: str | None) -> None:
        """Notes findings of our own; those that are None or empty are omitted."""
        complete = all(findings.values())  # most are, and theirs need not be copied
        kept = (
            cast("dict[str, str]", findings) if complete else {key: value for key, value in findings.items() if value}
        )
        if kept:
            if self.structured_data is None:
                self.structured_data = {OWN_ID: kept}
            else:
                self.structured_data.setdefault(OWN_ID, {}).update(kept)
