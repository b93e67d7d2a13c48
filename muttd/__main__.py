"""The command line. An expected error is one line and an exit status; anything else shows its traceback."""

import argparse
import asyncio
import functools
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from muttd import __version__, memory
from muttd.errors import ConfigurationError, MuttError
from muttd.settings import Settings, load
from muttd.vault import Secrets, read_secrets

_DEFAULT_FILE = Path("/etc/mutt/muttd.conf")

_ROLES = {
    "alerter": "decide what events mean: ingest list → rules → audit log, alert list",
    "forwarder": "deliver alerts to Moog, under one rate limit",
    "webui": "the page and the REST API",
}


def main(arguments: list[str] | None = None) -> None:
    """Runs `muttd ARGUMENTS` (None: those of the process) and exits the process."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except MuttError as error:
        sys.exit(_complain(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `muttd parse … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _complain(error: MuttError) -> int:
    for line in str(error).splitlines():
        print(f"muttd: {line}", file=sys.stderr)
    return error.exit_status


def _parser() -> argparse.ArgumentParser:
    # Made once for all commands, so that -c may stand before or after them.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-c", "--config", metavar="FILE", type=Path, default=argparse.SUPPRESS,
        help=f"configuration (default: {_DEFAULT_FILE} where it exists, else the built-in defaults)",
    )  # fmt: skip
    parser = argparse.ArgumentParser(
        prog="muttd",
        parents=[common],
        description="mutt takes syslog and SNMP traps straight from network devices, decides what they mean by rules, "
        "and delivers alerts to Moog AIOps. Without a command: the daemon that receives.",
        epilog="Every setting is explained in muttd.conf. Exit status 78: the configuration is wrong.",
    )
    parser.add_argument("--version", action="version", version=f"muttd {__version__}")
    parser.add_argument(
        "--check-config", action="store_true", help="say whether the configuration is right, line by line, and exit"
    )
    parser.add_argument(
        "--connect", action="store_true", help="with --check-config: also reach Vault, Redis, PostgreSQL and Moog"
    )
    parser.set_defaults(run=_daemon)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(
        name: str, text: str, run: "Callable[[argparse.Namespace], None]", *, configured: bool = True
    ) -> argparse.ArgumentParser:
        parents = [common] if configured else []
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=parents)
        made.set_defaults(run=run)
        return made

    for role, text in _ROLES.items():
        command(role, text, _role(role))
    text = "all of mutt with embedded Valkey and PostgreSQL, for a trial"
    _standalone_options(command("standalone", text, _standalone, configured=False))
    command("migrate", "bring the tables in PostgreSQL up to this version; safe to repeat", _migrate).add_argument(
        "--sample", action="store_true", help="also add the sample rules, hosts and teams"
    )
    text = "a stand-in for Moog: accepts the webhook and prints a line for each alert"
    _sink_options(command("sink", text, _sink, configured=False))
    _parse_options(command("parse", "show what mutt makes of datagrams, one JSON event a line", _parse))
    _dlq_options(command("dlq", "look at the dead letters, send them again, or drop them", _dlq))
    _ledger_options(
        command("ledger", "show that what came to each station left it, or what is missing (exit status 1)", _ledger)
    )
    _mib_options(command("mib", "names for SNMP object identifiers, from vendors' MIB files", _mib))
    command(
        "doctor", "look at this machine and all that mutt needs, a line each with the remedy (exit status 1)", _doctor
    ).add_argument("--json", action="store_true", help="one JSON object a line")
    _setup_options(
        command("setup", "from an installed package to a service at work: check, configure, start, try", _setup)
    )
    _certs_options(command("certs", "certificates for a trial of TLS", _certs))
    return parser


def _standalone_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, default=Path("data"), help="everything it keeps (default: data)"
    )
    parser.add_argument("--webhook", metavar="URL", help="deliver there instead of to the built-in sink")
    _address_option(parser)
    for name, port, text in (
        ("syslog", 5514, "syslog, UDP and TCP"),
        ("trap", 5162, "SNMP traps and informs"),
        ("ingest", 8080, "relays, over HTTP"),
        ("web", 8090, "the page and the API"),
        ("sink", 8099, "the built-in sink"),
    ):
        parser.add_argument(f"--{name}-port", metavar="PORT", type=int, default=port, help=f"{text} (default: {port})")


def _address_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", metavar="ADDRESS", type=_address, default="127.0.0.1", help="where to listen (default: 127.0.0.1)"
    )


def _sink_options(parser: argparse.ArgumentParser) -> None:
    _address_option(parser)
    parser.add_argument("--port", metavar="PORT", type=int, default=8099, help="(default: 8099)")
    parser.add_argument(
        "--keep", metavar="N", type=int, default=100_000, help="alerts that GET /events shows (default: 100000)"
    )


def _parse_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("syslog", "trap"), help="how the datagrams are read")
    parser.add_argument(
        "file", nargs="?", metavar="FILE", type=Path, help="one datagram a line (default: standard input)"
    )
    parser.add_argument("--base64", action="store_true", help="each line is base64; else syslog is text and a trap hex")
    parser.add_argument("--source-ip", metavar="ADDRESS", default="127.0.0.1", help="who sent it (default: 127.0.0.1)")
    parser.add_argument("--received-at", metavar="TIME", help="when it came, RFC 3339 (default: now)")


def _dlq_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("list", "show", "replay", "drop"),
        help="list: a line each; show: everything, as JSON; replay: below live traffic, until done or Ctrl-C",
    )
    parser.add_argument("--all", action="store_true", help="replay or drop without any of the following")
    parser.add_argument("--id", metavar="ID", help="the one of this event id")
    parser.add_argument("--reason", metavar="TEXT", help="those with TEXT in their reason")
    for name in ("host", "team", "handling"):
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"those of this {name}")
    for name, text in (("since", "given up at this time or later"), ("before", "given up before this time")):
        parser.add_argument(f"--{name}", metavar="TIME", type=_moment, help=f"those {text}, RFC 3339")
    parser.add_argument("--limit", metavar="N", type=int, default=100, help="list at most N (default: 100)")
    parser.add_argument("--rate", metavar="N", type=float, default=5.0, help="replay at most N a second (default: 5)")


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
    text = "say what is known of an OID or a name"
    lookup = actions.add_parser("lookup", help=text, description=text[0].upper() + text[1:] + ".")
    lookup.add_argument("text", metavar="OID|NAME", help="as 1.3.6.1.6.3.1.1.5.3 or IF-MIB::linkDown")


def _setup_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing: what is not said stays as it is")
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
    made.add_argument("--days", metavar="DAYS", type=_days, default=90, help="days it is valid, 1 to 825 (default: 90)")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 825:  # more no browser takes
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to 825")
    return int(text)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an address, as 127.0.0.1, or 0.0.0.0 for all") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fault = "is no time" if moment is None else "has no offset"
        raise argparse.ArgumentTypeError(f"{text!r} {fault}; expected RFC 3339, as 2026-03-05T04:07:09Z")
    return moment


# What the commands do. Each imports what it needs: `muttd --help` and `parse` need no server's client.


def _settings(options: argparse.Namespace) -> tuple[Settings, Secrets]:
    memory.keep_private()  # before there is a secret in it
    chosen = getattr(options, "config", None) or _default_file()
    _offer_credentials(chosen)
    settings = load(chosen, os.environ)
    file = Path(settings.secrets.file) if settings.secrets.file else None
    return settings, read_secrets(file, os.environ, overlap=settings.secrets.key_overlap)


def _default_file() -> Path | None:
    """None where there is none. One that may not be read is named in the fault of who reads it."""
    try:
        _DEFAULT_FILE.stat()
    except FileNotFoundError:
        return None
    except OSError:
        pass
    return _DEFAULT_FILE


def _offer_credentials(file: Path | None) -> None:
    """What systemd reads for the services lies beside muttd.conf; who may read it by hand, root, need not name it."""
    if file is None or "CREDENTIALS_DIRECTORY" in os.environ:
        return
    beside = file.resolve().parent / "credentials"
    if os.access(beside, os.R_OK | os.X_OK) and beside.is_dir():
        os.environ["CREDENTIALS_DIRECTORY"] = str(beside)


def _settings_and_vault(options: argparse.Namespace) -> tuple[Settings, Secrets]:
    """The same for commands that end soon: Vault is read once, where there is one."""
    from muttd import connections

    settings, secrets = _settings(options)
    return settings, connections.read_once(settings, os.environ) if settings.vault.addr else secrets


def _daemon(options: argparse.Namespace) -> None:
    if options.check_config:
        from muttd.roles.readers import trap_reader
        from muttd.settings.certificates import out_of_date

        settings, secrets = _settings(options)
        trap_reader(settings, secrets)  # raises what only it can know: SNMPv3 users, MIB files
        if faults := list(out_of_date(settings, datetime.now(UTC))):
            raise ConfigurationError(faults)
        print("configuration OK", flush=True)
        if options.connect and not asyncio.run(_all_reached(settings, secrets)):
            sys.exit(1)
    elif options.connect:
        raise MuttError("--connect goes with --check-config")
    else:
        _role("muttd")(options)


async def _all_reached(settings: Settings, secrets: Secrets) -> bool:
    from muttd.roles.reach import reach

    well = True
    async for finding in reach(settings, secrets, os.environ):
        print(finding, flush=True)
        well = well and finding.state == "OK"
    return well


def _role(name: str) -> "Callable[[argparse.Namespace], None]":
    def run_role(options: argparse.Namespace) -> None:
        from muttd import roles, runtime

        settings, secrets = _settings(options)
        runtime.set_up_log(name, settings.log.level, settings.log.format)
        roles.run(name, settings, secrets)

    return run_role


def _migrate(options: argparse.Namespace) -> None:
    from muttd import roles

    settings, secrets = _settings_and_vault(options)
    roles.migrate(settings, secrets, sample=options.sample, report=print)


def _standalone(options: argparse.Namespace) -> None:
    from muttd.roles.standalone import standalone

    ports = {name: getattr(options, f"{name}_port") for name in ("syslog", "trap", "ingest", "web", "sink")}
    standalone(options.data_dir, address=options.address, ports=ports, webhook=options.webhook)


def _sink(options: argparse.Namespace) -> None:
    from muttd import roles

    roles.sink(options.address, options.port, options.keep)


def _parse(options: argparse.Namespace) -> None:
    from muttd.roles.parse import parse

    settings, secrets = (_settings_and_vault if options.kind == "trap" else _settings)(options)
    parse(
        options.kind,
        options.file,
        settings=settings,
        secrets=secrets,
        in_base64=options.base64,
        source_ip=options.source_ip,
        received_at=options.received_at,
        output=sys.stdout.buffer,
    )


def _dlq(options: argparse.Namespace) -> None:
    from muttd.pipeline.dead_letters import Choice
    from muttd.roles import dlq

    fields = ("id", "reason", "host", "team", "handling", "since", "before")
    choice = Choice(**{name: getattr(options, name) for name in fields})
    if options.action in {"replay", "drop"} and choice == Choice() and not options.all:
        raise MuttError(f"muttd dlq {options.action}: say which, as --reason TEXT or --id ID, or --all")
    settings, secrets = _settings_and_vault(options)
    match options.action:
        case "list":
            dlq.listed(settings, secrets, choice, options.limit, print)
        case "show":
            dlq.shown(settings, secrets, choice, print)
        case "replay":
            dlq.replayed(settings, secrets, choice, options.rate, print)
        case _:
            dlq.dropped(settings, secrets, choice, print)


def _ledger(options: argparse.Namespace) -> None:
    from muttd.roles.ledger import shown

    if not shown(*_settings_and_vault(options), options.from_time, options.to_time, as_json=options.json, show=print):
        sys.exit(1)


def _mib(options: argparse.Namespace) -> None:
    from muttd.roles import mibs

    if options.action == "compile":
        mibs.compiled(options.folders, options.output, print)
    else:
        mibs.looked_up(_settings(options)[0], options.text, print)


def _doctor(options: argparse.Namespace) -> None:
    from muttd.roles.doctor import doctor

    if not doctor(*_settings(options), os.environ, as_json=options.json, show=print):
        sys.exit(1)


def _setup(options: argparse.Namespace) -> None:
    import getpass
    import logging

    from muttd.setup import Talk, setup, undo

    if not options.yes and not sys.stdin.isatty():
        raise MuttError("setup: no terminal to ask at; --yes asks nothing")
    logging.disable(logging.INFO)
    file = getattr(options, "config", None) or _DEFAULT_FILE
    talk = Talk(functools.partial(print, flush=True), input, getpass.getpass)
    try:
        if options.undo:
            undo(file, unattended=options.yes, talk=talk)
        else:
            setup(file, options.answers, os.environ, unattended=options.yes, talk=talk)
    except EOFError:
        raise MuttError("setup: the answers ended; nothing was changed") from None


def _certs(options: argparse.Namespace) -> None:
    from muttd.roles import certs

    certs.self_signed(options.folder, options.name, options.days, print)


if __name__ == "__main__":
    main()
