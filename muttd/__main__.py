"""What each command does (`arguments` reads them).

An expected error is one line and an exit status; anything else shows its traceback.
"""

import argparse
import asyncio
import functools
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from muttd.arguments import DEFAULT_FILE, ROLES, command_line
from muttd.errors import ConfigurationError, MuttError
from muttd.settings import Settings, load
from muttd.undumpable import keep_private
from muttd.vault import Secrets, read_secrets


def main(arguments: list[str] | None = None) -> None:
    """Runs `muttd ARGUMENTS` (None: those of the process) and exits the process."""
    options = command_line().parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
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


# Each command imports what it needs: `muttd --help` and `parse` need no server's client.


def _settings(options: argparse.Namespace) -> tuple[Settings, Secrets]:
    keep_private()  # before there is a secret in it
    chosen = getattr(options, "config", None) or _default_file()
    _offer_credentials(chosen)
    settings = load(chosen, os.environ)
    file = Path(settings.secrets.file) if settings.secrets.file else None
    return settings, read_secrets(file, os.environ, overlap=settings.secrets.key_overlap)


def _default_file() -> Path | None:
    """None if there is none. If it must not be read, whoever tries to will report that."""
    try:
        DEFAULT_FILE.stat()
    except FileNotFoundError:
        return None
    except OSError:
        pass
    return DEFAULT_FILE


def _offer_credentials(file: Path | None) -> None:
    """The services' credentials are next to muttd.conf; root, who may read them by hand, need not name them."""
    if file is None or "CREDENTIALS_DIRECTORY" in os.environ:
        return
    beside = file.resolve().parent / "credentials"
    if os.access(beside, os.R_OK | os.X_OK) and beside.is_dir():
        os.environ["CREDENTIALS_DIRECTORY"] = str(beside)


def _settings_and_vault(options: argparse.Namespace) -> tuple[Settings, Secrets]:
    """The same for short-lived commands: Vault, if there is one, is read once."""
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
        raise MuttError("--connect needs --check-config")
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
        raise MuttError(f"muttd dlq {options.action}: say which: --reason TEXT, --id ID or --all")
    settings, secrets = _settings_and_vault(options)

    def warn(text: str) -> None:  # not among the JSON
        print(f"muttd: {text}", file=sys.stderr)

    match options.action:
        case "list":
            dlq.listed(settings, secrets, choice, options.limit, print, warn=warn)
        case "show":
            dlq.shown(settings, secrets, choice, print, warn=warn)
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
    file = getattr(options, "config", None) or DEFAULT_FILE
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


_COMMANDS: dict[str | None, Callable[[argparse.Namespace], None]] = {
    None: _daemon,
    **{name: _role(name) for name in ROLES},
    "standalone": _standalone,
    "migrate": _migrate,
    "sink": _sink,
    "parse": _parse,
    "dlq": _dlq,
    "ledger": _ledger,
    "mib": _mib,
    "doctor": _doctor,
    "setup": _setup,
    "certs": _certs,
}


if __name__ == "__main__":
    main()
