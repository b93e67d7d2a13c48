"""The order of a setup: look, check, show, do.

Nothing is changed before the plan was shown and, at a terminal, agreed to. What was changed before a fault stays, and
the next run goes on from there.
"""

import asyncio
import dataclasses
import re
import secrets as random
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from muttd import connections, roles
from muttd.errors import ConfigurationError, MuttError
from muttd.roles import certs
from muttd.roles.doctor import examine
from muttd.settings import Settings, load
from muttd.settings.loading import load_given, with_keys
from muttd.settings.manual import manual
from muttd.setup import datagram, files, host, questions
from muttd.setup.files import TRIAL_FILES, Places
from muttd.setup.host import Host
from muttd.setup.plan import PAGE_KEY, Plan, Standing, certificate_keys, lines, noted, planned, secret_id_of
from muttd.setup.questions import Talk
from muttd.setup.wish import Wish, read_wish
from muttd.tls import trial
from muttd.vault import Secrets, read_secrets

_STOPPING: Final = {"Python", "ports", "Vault", "keys", "Redis", "PostgreSQL"}
"""Checks without which nothing would work. Moog may come later: alerts wait."""
_TRIAL_DAYS: Final = 90
_ACTIVE_LIMIT: Final = 30.0
"""Seconds for the services to be at work after the target has started."""
_EX_CONFIG: Final = "78"


def setup(
    configuration: Path, answers: Path | None, environment: Mapping[str, str], *, unattended: bool, talk: Talk
) -> None:
    """Raises ConfigurationError where answers or muttd.conf are wrong, MuttError where something fails."""
    places = Places(configuration.resolve())
    wish = read_wish(answers, environment)
    found = host.look()
    _check_who(found, wish)
    standing = _standing(found, places)
    if unattended:
        plan = _checked(wish, standing, environment, talk)
    else:
        talk.show(f"mutt on this host, configured by {places.configuration}. Nothing is changed before you agree.")
        wish, plan = _agreed(wish, standing, environment, talk)
    talk.show("setup will:")
    for line in lines(plan, wish, standing):
        talk.show(line)
    if not unattended and not questions.agreed("Go on?", talk):
        raise MuttError("nothing was changed")
    _do(plan, wish, standing, talk)


def _agreed(wish: Wish, standing: Standing, environment: Mapping[str, str], talk: Talk) -> tuple[Wish, Plan]:
    """Asks until the answers could work, or nobody wants to answer again."""
    answered = None
    while True:
        answered = questions.ask_all(wish, answered, standing, talk)
        try:
            return answered, _checked(answered, standing, environment, talk)
        except MuttError as error:
            talk.show(str(error))
            if not questions.agreed("Answer again? Enter keeps what was answered.", talk, default=True):
                raise MuttError("nothing was changed") from None


def _checked(wish: Wish, standing: Standing, environment: Mapping[str, str], talk: Talk) -> Plan:
    """The plan for `wish`. Raises MuttError where that could not work."""
    vault = with_keys(standing.settings, {} if standing.edited else wish.keys).vault
    if vault.addr and vault.secret_id_wrapped:
        raise MuttError(
            "vault.secret_id_wrapped: it can be unwrapped only once, by a mutt process; set this host up by hand"
        )
    plan = planned(wish, standing, random.token_urlsafe(32))
    talk.show("checks:")
    _check(plan, wish, standing, environment, talk)
    return plan


def _check_who(found: Host, wish: Wish) -> None:
    if not found.systemd or not wish.choices.start:
        return
    if not found.root:
        raise MuttError("setup starts services and writes for them: run it as root")
    if found.mutt is None:
        raise MuttError("there is no user mutt, which the units run as; to create it: systemd-sysusers")


def _standing(found: Host, places: Places) -> Standing:
    """What is there now, as the services will see it: without this shell's environment."""
    text = files.read(places.configuration)
    settings = with_keys(Settings(), load_given(places.configuration if text is not None else None, {}, ()).keys)
    held = {name: (files.read(places.credentials / name) or "").rstrip("\r\n") for name in places.names()}
    made = all((places.certificates / name).exists() for name in TRIAL_FILES)
    return Standing(found, places, text, settings, held, files.read_notes(places), made)


def _check(plan: Plan, wish: Wish, standing: Standing, environment: Mapping[str, str], talk: Talk) -> None:
    """Doctor's checks of what will be. Raises MuttError where that could not work; nothing was changed then."""
    places = standing.places
    with tempfile.TemporaryDirectory(prefix="mutt-setup-") as private:
        settings = plan.settings
        if plan.certificates:  # they are not there yet
            now = standing.settings
            settings = with_keys(
                settings, {key: getattr(getattr(now, key[0]), key[1]) for key in certificate_keys(places)}
            )
        if plan.write:
            _judge(settings, places)
        else:
            _in_force(places)  # raises what no key alone can show
        secrets, service = _secrets(settings, plan, places)
        if secret_id := secret_id_of(wish):
            file = Path(private, "secret-id")
            file.touch(0o600)
            file.write_text(secret_id, encoding="utf-8")
            settings = dataclasses.replace(
                settings, vault=dataclasses.replace(settings.vault, secret_id_file=str(file))
            )
        faults = asyncio.run(_examined(settings, secrets, {**environment, **service}, talk))
    if faults:
        raise MuttError(f"nothing was changed; {', '.join(faults)}: fix that and run setup again")


async def _examined(settings: Settings, secrets: Secrets, environment: Mapping[str, str], talk: Talk) -> list[str]:
    stopping = []
    async for finding in examine(settings, secrets, environment, will_migrate=True):
        talk.show(f"  {finding}")
        if finding.state == "FAULT" and finding.check in _STOPPING and finding.check not in stopping:
            stopping.append(finding.check)
    return stopping


def _secrets(settings: Settings, plan: Plan, places: Places) -> tuple[Secrets, dict[str, str]]:
    """Those that the services will have, and the environment in which they have them."""
    service = {"CREDENTIALS_DIRECTORY": str(places.credentials)}
    file = Path(settings.secrets.file) if settings.secrets.file else None
    return read_secrets(file, {**service, **plan.credentials}), service


def _do(plan: Plan, wish: Wish, standing: Standing, talk: Talk) -> None:
    talk.show("doing:")
    places, found = standing.places, standing.host
    owner = found.mutt if found.root else None
    root = owner and owner._replace(user=0)
    text = manual(plan.settings)
    files.make_folder(places.folder, 0o750, root)
    files.make_folder(places.credentials, 0o700, owner and owner._replace(user=0, group=0))
    made = [str(places.certificates / name) for name in TRIAL_FILES]
    # Before anything else, so that whatever happens can be undone.
    files.write_notes(places, noted(plan, standing, text, made), owner)
    if plan.certificates:
        _make_certificates(wish, places, root)
        talk.show(f"  made      {', '.join(made)}")
    if plan.write:
        _judge(plan.settings, places)
        files.write(places.configuration, text, 0o640 if root else 0o600, root)
        talk.show(f"  wrote     {places.configuration}")
    for name, value in sorted(plan.credentials.items()):
        files.write_credential(places, name, value, owner)
        talk.show(f"  wrote     {places.credentials / name}")
    for name in places.names():
        files.give(places.credentials / name, 0o600, owner and owner._replace(user=0, group=0))
    settings = _in_force(places)
    secrets = _as_the_services(settings, places)
    roles.migrate(settings, secrets, sample=plan.sample, report=lambda line: talk.show(f"  migrate   {line}"))
    if plan.firewall:
        host.open_in_firewall(plan.firewall)
        talk.show(f"  opened    {', '.join(plan.firewall)}")
    if plan.units:
        _start(plan, talk)
    if wish.choices.start:
        _try(settings, secrets, talk)
    _farewell(settings, places, talk)


def _make_certificates(wish: Wish, places: Places, owner: "host.Owner | None") -> None:
    files.make_folder(places.certificates, 0o750, owner)
    names = wish.choices.names or certs.own_names()
    try:
        made = trial.write(places.certificates, names, _TRIAL_DAYS, datetime.now(UTC))
    except FileExistsError as error:
        raise MuttError(f"{error}: already there, but not complete; remove it and run again") from None
    except OSError as error:
        raise MuttError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError([f"[setup] names: {error}"]) from None
    for file, mode in ((made.authority, 0o644), (made.certificate, 0o644), (made.key, 0o640 if owner else 0o600)):
        files.give(file, mode, owner)


def _judge(settings: Settings, places: Places) -> None:
    """Raises ConfigurationError where muttd would not start with a muttd.conf of these."""
    with tempfile.TemporaryDirectory(prefix="mutt-setup-") as private:
        file = Path(private, places.configuration.name)
        file.write_text(manual(settings), encoding="utf-8")
        try:
            read = load(file, {"CREDENTIALS_DIRECTORY": str(places.credentials)})
        except ConfigurationError as error:
            shown = re.compile(re.escape(str(file)) + r":\d+")  # a line of a file that is gone helps nobody
            place = f"{places.configuration} (as it would be)"
            raise ConfigurationError([shown.sub(place, fault) for fault in error.faults]) from None
    assert read == settings, "a file written from settings reads back as them"


def _in_force(places: Places) -> Settings:
    return load(places.configuration, {"CREDENTIALS_DIRECTORY": str(places.credentials)})


def _as_the_services(settings: Settings, places: Places) -> Secrets:
    return connections.read_once(settings, {"CREDENTIALS_DIRECTORY": str(places.credentials)})


def _start(plan: Plan, talk: Talk) -> None:
    """Enables, then starts; returns when all that the target wants is at work."""
    running = host.active_units()
    if plan.enable:
        host.run("systemctl", "enable", *plan.enable)
        talk.show(f"  enabled   {', '.join(plan.enable)}")
    if plan.disable:
        host.run("systemctl", "disable", *plan.disable)
    if plan.restart:
        services = [unit for unit in running if unit.endswith(".service")]
        # A socket can only be added to a service that does not run: restarted together, in the right order.
        added = [host.TLS_SOCKET] if host.TLS_SOCKET in plan.enable else []
        host.run("systemctl", "restart", *services, *added)
        talk.show(f"  restarted {', '.join(services)}")
    host.run("systemctl", "start", host.TARGET, *host.wanted_units())
    end = time.monotonic() + _ACTIVE_LIMIT
    for unit in host.wanted_units():
        while (now := host.state(unit))[0] == "activating" and time.monotonic() < end:
            time.sleep(0.1)
        if now[0] != "active":
            status = "its configuration is wrong: " if now[1] == _EX_CONFIG else ""
            raise MuttError(f"{unit} is {now[0]}: {status}journalctl -u {unit} -n 20 says why")
    talk.show(f"  started   {host.TARGET}: {', '.join(host.wanted_units())}")


def _try(settings: Settings, secrets: Secrets, talk: Talk) -> None:
    try:
        told = asyncio.run(datagram.send_and_find(settings, secrets))
    except MuttError:
        talk.show("all of the above is done; only the test message is missing:")
        raise
    for line in told:
        talk.show(f"  test      {line}")


def _farewell(settings: Settings, places: Places, talk: Talk) -> None:
    scheme = "https" if settings.http.tls_cert and "webui" in settings.http.tls else "http"
    talk.show("done.")
    talk.show(f"the page: {scheme}://{certs.own_names()[0]}:{settings.http.port_webui}/")
    if (places.credentials / PAGE_KEY).exists():
        talk.show(f"its first key: cat {places.credentials / PAGE_KEY}")
    talk.show("later: muttd doctor; muttd setup may be repeated; muttd setup --undo takes it back")
