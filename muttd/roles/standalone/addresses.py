"""The ports of a standalone mutt: whether they are free, and how they appear in a URL."""

import socket
from contextlib import ExitStack, closing

from muttd.errors import MuttError


def check_ports(address: str, ports: dict[str, int], webhook: str | None) -> None:
    """Checks that all can be bound. Raises MuttError, one clear line, before anything is started."""
    wanted = [("syslog", socket.SOCK_DGRAM), ("syslog", socket.SOCK_STREAM), ("trap", socket.SOCK_DGRAM)]
    wanted += [(name, socket.SOCK_STREAM) for name in ("ingest", "web")]
    if webhook is None:
        wanted.append(("sink", socket.SOCK_STREAM))
    for name, kind in wanted:
        if fault := _bind_fault(address, ports[name], kind):
            protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
            raise MuttError(
                f"{protocol} port {ports[name]} for {name}: {fault}; choose another with --{name}-port PORT"
            )


def free_ports(address: str) -> dict[str, int]:
    """For the workers' /health and /metrics: the usual ones if they are free, otherwise any."""
    chosen: dict[str, int] = {}
    usual = {"alerter": 8081, "alerter_metrics": 8082, "forwarder": 8083, "forwarder_metrics": 8084}
    with ExitStack() as held:
        for name, port in usual.items():
            if _bind_fault(address, port, socket.SOCK_STREAM) is None:
                chosen[name] = port
            else:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                probe = held.enter_context(closing(socket.socket(family, socket.SOCK_STREAM)))
                probe.bind((address, 0))
                chosen[name] = int(probe.getsockname()[1])
    return chosen


def _bind_fault(address: str, port: int, kind: socket.SocketKind) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            return (error.strerror or str(error)) if isinstance(error, OSError) else "must be 1 to 65535"
    return None


def host_in_url(address: str) -> str:
    """As written in a URL; 0.0.0.0 becomes loopback."""
    if address in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "127.0.0.1"
    return f"[{address}]" if ":" in address else address
