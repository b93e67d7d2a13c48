"""muttd as one process, or as several behind the same addresses on machines with more cores.

The parent opens all sockets and keeps them: datagrams and connections waiting in the kernel for a process that dies
are taken by its successor. It increments our SNMPv3 engine's boots once, for all. Not shared: memory, spool, and the
limits on connections and rates, which each process keeps for itself.
"""

import functools
import socket
import sys
import tempfile
from pathlib import Path

from muttd import runtime
from muttd.roles.listen import Place, listen
from muttd.roles.readers import our_engine
from muttd.roles.siblings import Siblings
from muttd.roles.sockets import Opened, open_sockets
from muttd.roles.supervisor import Supervisor
from muttd.settings import Settings
from muttd.vault import Secrets


def receive(settings: Settings, secrets: Secrets) -> None:
    """Runs muttd until SIGTERM or SIGINT. Raises MuttError; exits if one of several children failed."""
    count = settings.receiving.processes
    opened = open_sockets(settings, count)
    engine = our_engine(settings, secrets) if any(one.snmp_udp for one in opened) else None
    if count == 1:
        runtime.run("muttd", functools.partial(listen, place=Place(opened[0], engine)), settings, secrets)
        return

    def child(number: int, restarts: int, lifeline: int) -> None:
        own = opened[number - 1]
        _close(opened, but=own)
        runtime.set_up_log(f"muttd[{number}]", settings.log.level, settings.log.format)
        siblings = Siblings(Path(directory), number, count)
        place = Place(own, engine, number, count, restarts, lifeline, siblings)
        runtime.run("muttd", functools.partial(listen, place=place), settings, secrets)

    with tempfile.TemporaryDirectory(prefix="muttd-") as directory:
        status = Supervisor(count, child, functools.partial(_close, opened), Path(directory)).run()
    if status:
        sys.exit(status)


def _close(opened: list[Opened], but: Opened | None = None) -> None:
    """Closes our descriptors of all sockets that are not also in `but`."""
    kept = _sockets(but) if but else set()
    for one in set().union(*map(_sockets, opened)) - kept:
        one.close()


def _sockets(opened: Opened) -> set[socket.socket]:
    datagrams = (one.socket for one in (*opened.syslog_udp, *opened.snmp_udp))
    return {*datagrams, *opened.syslog_tcp, *opened.syslog_tls, *opened.http}
