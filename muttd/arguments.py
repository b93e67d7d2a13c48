"""The arguments of `muttd`: every command and option with its help, and how values are read. What the commands do is in
`__main__`.

The manual page is generated from it, and a test checks the documents against it.
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from muttd import __version__

DEFAULT_FILE = Path("/etc/mutt/muttd.conf")

ROLES = {
    "alerter": "decide what events mean: ingest list → rules → audit log, alert list",
    "forwarder": "deliver alerts to Moog, under one rate limit",
    "webui": "the page and the REST API",
}


def command_line() -> argparse.ArgumentParser:
    """What reads `muttd ARGUMENTS`. `command` of what it makes is the command's name, None without one."""
    # Made once for all commands, so that -c may stand before or after them.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-c", "--config", metavar="FILE", type=Path, default=argparse.SUPPRESS,
        help=f"configuration (default: {DEFAULT_FILE} if it exists, else the built-in defaults)",
    )  # fmt: skip
    parser = argparse.ArgumentParser(
        prog="muttd",
        parents=[common],
        description="mutt takes syslog and SNMP traps straight from network devices, decides by rules what they mean, "
        "and delivers alerts to Moog AIOps. Without a command, muttd is the daemon that receives.",
        epilog="Every setting is explained in muttd.conf. Exit status 78: the configuration is wrong.",
    )
    parser.add_argument("--version", action="version", version=f"muttd {__version__}")
    parser.add_argument(
        "--check-config", action="store_true", help="check the configuration, print one line for every fault, and exit"
    )
    parser.add_argument(
        "--connect", action="store_true", help="with --check-config: also reach Vault, Redis, PostgreSQL and Moog"
    )
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", dest="command")

    def command(name: str, text: str, *, configured: bool = True) -> argparse.ArgumentParser:
        parents = [common] if configured else []
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=parents)

    for role, text in ROLES.items():
        command(role, text)
    text = "all of mutt with embedded Valkey and PostgreSQL, for a trial"
    _standalone_options(command("standalone", text, configured=False))
    command("migrate", "bring the tables in PostgreSQL up to this version; safe to repeat").add_argument(
        "--sample", action="store_true", help="also add the sample rules, hosts and teams"
    )
    text = "a stand-in for Moog: accepts the webhook and prints a line for each alert"
    _sink_options(command("sink", text, configured=False))
    _parse_options(command("parse", "show how mutt reads datagrams, one JSON event a line"))
    _dlq_options(command("dlq", "show the dead letters, send them again, or drop them"))
    _ledger_options(
        command("ledger", "show whether all that reached each station left it; exit status 1 if anything is missing")
    )
    _mib_options(command("mib", "names for SNMP object identifiers, from vendors' MIB files"))
    command(
        "doctor", "check this machine and all that mutt needs, one line each with the remedy; exit status 1 on a fault"
    ).add_argument("--json", action="store_true", help="one JSON object a line")
    _setup_options(command("setup", "from an installed package to a working service: check, configure, start, try"))
    _certs_options(command("certs", "certificates for a trial of TLS"))
    return parser


def _standalone_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, default=Path("data"), help="where it keeps everything (default: data)"
    )
    parser.add_argument("--webhook", metavar="URL", help="deliver to URL instead of the built-in sink")
    _address_option(parser)
    for name, port, text in (
        ("syslog", 5514, "syslog, UDP and TCP"),
        ("trap", 5162, "SNMP traps and informs"),
        ("ingest", 8080, "relays, over HTTP"),
        ("web", 8090, "the page and the API"),
        ("sink", 8099, "the built-in sink"),
    ):
        parser.add_argument(
            f"--{name}-port", metavar="PORT", type=_port, default=port, help=f"{text} (default: {port})"
        )


def _address_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", metavar="ADDRESS", type=_address, default="127.0.0.1", help="where to listen (default: 127.0.0.1)"
    )


def _sink_options(parser: argparse.ArgumentParser) -> None:
    _address_option(parser)
    parser.add_argument("--port", metavar="PORT", type=_port, default=8099, help="(default: 8099)")
    parser.add_argument(
        "--keep", metavar="N", type=_whole(1, 10_000_000), default=100_000,
        help="how many alerts GET /events shows (default: 100000)",
    )  # fmt: skip


def _parse_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("syslog", "trap"), help="how the datagrams are read")
    parser.add_argument(
        "file", nargs="?", metavar="FILE", type=Path, help="one datagram a line (default: standard input)"
    )
    parser.add_argument("--base64", action="store_true", help="each line is base64; else syslog is text and a trap hex")
    parser.add_argument("--source-ip", metavar="ADDRESS", default="127.0.0.1", help="the sender (default: 127.0.0.1)")
    parser.add_argument("--received-at", metavar="TIME", help="when it arrived, RFC 3339 (default: now)")


def _dlq_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("list", "show", "replay", "drop"),
        help="list: a line each; show: everything, as JSON; replay: below live traffic, until done or Ctrl-C",
    )
    parser.add_argument(
        "--all", action="store_true", help="replay or drop all of them, without any of the filters below"
    )
    parser.add_argument("--id", metavar="ID", help="the one with this event id")
    parser.add_argument("--reason", metavar="TEXT", help="those with TEXT in their reason")
    for name in ("host", "team", "handling"):
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"those with this {name}")
    for name, text in (("since", "given up at this time or later"), ("before", "given up before this time")):
        parser.add_argument(f"--{name}", metavar="TIME", type=_moment, help=f"those {text}, RFC 3339")
    parser.add_argument(
        "--limit", metavar="N", type=_whole(1, 1_000_000), default=100, help="list at most N (default: 100)"
    )
    parser.add_argument("--rate", metavar="N", type=_rate, default=5.0, help="replay at most N a second (default: 5)")


def _ledger_options(parser: argparse.ArgumentParser) -> None:
    for name, text in (("from", "the beginning of the books"), ("to", "now")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_time",
            metavar="TIME",
            type=_moment,
            help=f"RFC 3339, to the minute (default: {text})",
        )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _mib_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    text = "make one index file from folders of MIB files"
    compiling = actions.add_parser("compile", help=text, description=text[0].upper() + text[1:] + ".")
    compiling.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="MIB files, and those they import")
    compiling.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("mib.json"), help="the index (default: mib.json)"
    )
    text = "show what is known of an OID or a name"
    lookup = actions.add_parser("lookup", help=text, description=text[0].upper() + text[1:] + ".")
    lookup.add_argument("text", metavar="OID|NAME", help="for example 1.3.6.1.6.3.1.1.5.3 or IF-MIB::linkDown")


def _setup_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing: what is not answered stays as it is")
    parser.add_argument(
        "--answers",
        metavar="FILE",
        type=Path,
        help="TOML: keys as in muttd.conf, [credentials], [setup]; see docs/install.md",
    )
    parser.add_argument(
        "--undo", action="store_true", help="take back what setup did, and say what stays and how to remove that"
    )


def _certs_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    text = "write a server's certificate and key, and the authority that clients are to trust"
    made = actions.add_parser("self-signed", help=text, description=text[0].upper() + text[1:] + ".")
    made.add_argument("folder", metavar="DIR", type=Path, help="where they are written")
    made.add_argument(
        "--name",
        metavar="NAME",
        action="append",
        default=[],
        help="a host name or address it is for, repeatable (default: this machine's)",
    )
    made.add_argument(
        "--days", metavar="DAYS", type=_whole(1, 825), default=90, help="days it is valid, 1 to 825 (default: 90)"
    )


def _whole(low: int, high: int) -> Callable[[str], int]:
    """What reads a whole number from `low` to `high`."""

    def read(text: str) -> int:
        # What has more digits is not converted: that takes long for very many.
        if not text.isascii() or not text.isdigit() or len(text) > len(str(high)) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {low} to {high}")
        return int(text)

    return read


_port = _whole(1, 65535)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 10_000:  # nor not-a-number
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0.01 to 10000")
    return rate


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        fault = f"{text!r}: expected an address such as 127.0.0.1, or 0.0.0.0 for all"
        raise argparse.ArgumentTypeError(fault) from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fault = "is no time" if moment is None else "has no offset"
        raise argparse.ArgumentTypeError(f"{text!r} {fault}; expected RFC 3339, such as 2026-03-05T04:07:09Z")
    return moment
