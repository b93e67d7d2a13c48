"""What `muttd doctor` makes of the facts of a machine."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from muttd.roles.doctor import Facts, gather, judge, kernel_drops
from muttd.roles.ports import Held, Port
from muttd.settings import load
from muttd.tls import trial

SYSLOG = Port("udp", "0.0.0.0", 514, "syslog.udp")
GOOD = Facts(
    python=(3, 11, 0),
    held=(Held(SYSLOG, "systemd (process 1)", ours=True),),
    selinux="enforcing",
    label="system_u:object_r:mutt_exec_t:s0",
    clock_state=0,
    rmem_max=8 << 20,
    wanted_buffer=8 << 20,
    kernel_drops=0,
    spool_free=2 << 30,
    spool_wanted=1 << 30,
    open_files=(),
    certificates=(),
)


def test_a_machine_in_order_is_all_ok() -> None:
    assert {finding.state for finding in judge(GOOD)} == {"OK"}


@pytest.mark.parametrize(
    ("facts", "check", "state", "remedy"),
    [
        (GOOD._replace(python=(3, 10, 9)), "Python", "FAULT", "3.11 or newer"),
        (
            GOOD._replace(held=(Held(SYSLOG, "rsyslogd (process 7)", ours=False),)),
            "ports",
            "FAULT",
            "514/udp (syslog.udp) is held by rsyslogd (process 7)",
        ),
        (GOOD._replace(held=(Held(SYSLOG, None, ours=False),)), "ports", "NOTE", "ss -lnup 'sport = :514'"),
        (GOOD._replace(label="system_u:object_r:bin_t:s0"), "SELinux", "NOTE", "dnf install mutt-selinux"),
        (GOOD._replace(clock_state=5), "clock", "FAULT", "chronyd"),
        (GOOD._replace(clock_state=None), "clock", "NOTE", "cannot tell"),
        (GOOD._replace(rmem_max=212992), "buffers", "NOTE", "sysctl -w net.core.rmem_max=8388608"),
        (GOOD._replace(kernel_drops=7), "kernel drops", "NOTE", "7 datagrams"),
        (GOOD._replace(spool_free=5), "spool", "FAULT", "spool.max_bytes"),
        (GOOD._replace(open_files=("/etc/s",)), "secrets", "FAULT", "chmod o= /etc/s"),
        (GOOD._replace(certificates=("moog.client_cert: expired",)), "certificates", "FAULT", "renew"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(facts: Facts, check: str, state: str, remedy: str) -> None:
    (found,) = [finding for finding in judge(facts) if finding.state != "OK"]
    assert (found.check, found.state) == (check, state)
    assert remedy in found.text


def test_kernel_drops_are_read_by_name() -> None:
    assert kernel_drops("Udp: InDatagrams RcvbufErrors X\nUdp: 9 4 1\nUdpLite: InDatagrams\nUdpLite: 0\n") == 4
    assert kernel_drops("") is None


@pytest.mark.parametrize(("mode", "open_to_others"), [(0o640, False), (0o644, True), (0o642, True)])
def test_a_secret_that_others_may_use_is_found(tmp_path: Path, mode: int, open_to_others: bool) -> None:
    file = tmp_path / "secrets"
    file.write_text("")
    key = trial.write(tmp_path, ["localhost"], 1, datetime.now(UTC)).key
    credential = tmp_path / "beside/DB_PASS"
    credential.parent.mkdir()
    credential.touch()
    for one in (file, key, credential):
        one.chmod(mode)
    (tmp_path / "muttd.conf").write_text(
        f'[secrets]\nfile = "{file}"\n[spool]\ndirectory = "{tmp_path}/spool"\n'
        f'[http]\ntls_cert = "{tmp_path}/mutt.pem"\ntls_key = "{key}"\n'
    )
    environment = {"CREDENTIALS_DIRECTORY": str(credential.parent)}
    facts = gather(load(tmp_path / "muttd.conf", {}), environment, datetime.now(UTC))
    assert [str(one) in facts.open_files for one in (file, key, credential)] == [open_to_others] * 3
    assert facts.spool_free
