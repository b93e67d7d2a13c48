"""Lines as devices send them, all different, of mixed shapes: what bench/syslog.py sends."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

COUNT = 24_000

_STANDARD = {
    # shape: how many of 45 lines
    "<{pri}>{day} {t} {h} sshd[{n}]: Accepted publickey for {user} from {ip} port {port} ssh2: RSA SHA256:{hex}": 10,
    "<{pri}>{day} {t} {h} systemd[1]: Started Session {n} of User {user}.": 6,
    "<{pri}>{day} {t} {h} kernel: [{n}.{micro}] {ifname}: link is up, 10000 Mbps, full duplex, flow control rx/tx": 4,
    "<{pri}>{day} {t} {h} postfix/smtpd[{n}]: connect from mail-{n}.example.net[{ip}]": 4,
    "<{pri}>1 {date}T{t}.{micro}Z {h}.example.net app-{user} {n} ID{port} - Request {hex} took {port} ms": 8,
    '<{pri}>1 {date}T{t}.{micro}+00:00 {h} evntslog {n} ID47 [exampleSDID@32473 iut="3" eventSource="{user}" '
    'eventID="{n}"] An application event log entry from {ip}': 8,
    '<{pri}>1 {date}T{t}.{milli}Z {h} mgd {n} UI_CMDLINE_READ_LINE [junos@2636.1.1.1.2.18 username="{user}" '
    "command=\"show interfaces {ifname} \"] User '{user}', command 'show interfaces {ifname} '": 5,
}

_MIXED = {
    # How many of 100 lines, in a data centre's proportions: network devices above hosts.
    **_STANDARD,
    "<{pri}>{n}: {h}: {day} {t}.{milli}: %LINEPROTO-5-UPDOWN: Line protocol on Interface {ifname}, changed state to "
    "down": 9,
    "<{pri}>{n}: *{day} {t}.{milli} UTC: %BGP-5-ADJCHANGE: neighbor {ip} Down BGP Notification sent": 5,
    "<{pri}>{day} {t} {h} %SYS-5-CONFIG_I: Configured from console by {user} on vty0 ({ip})": 5,
    "<{pri}>: {year} {day} {t} UTC: %ETHPORT-5-IF_DOWN_LINK_FAILURE: Interface {ifname} is down (Link failure {n})": 3,
    "<{pri}>{day} {year} {t} {h} : %ASA-6-302013: Built outbound TCP connection {n} for outside:{ip}/443 ({ip}/443) "
    "to inside:10.1.{o}.{o}/{port} (192.0.2.1/{port})": 9,
    "<{pri}>{day} {t} {h} RT_FLOW: RT_FLOW_SESSION_CREATE: session created {ip}/{port}->10.0.{o}.{o}/443 "
    "0x0 junos-https trust untrust {n}": 4,
    "<{pri}>{day} {t} {h} 1,{slashed} {t},0119010{n},TRAFFIC,end,2305,{slashed} {t},{ip},10.1.{o}.{o},0.0.0.0,"
    "0.0.0.0,allow-web,{user},,ssl,vsys1,trust,untrust,ethernet1/1,ethernet1/2,fwd,{n},1,{port},443,0,0,0x53,tcp,"
    "allow,6432,1220,5212,24,{slashed} {t},12,business,0,{n}": 6,
    '<{pri}>date={date} time={t} devname="{h}" devid="FG100E{n}" logid="0000000013" type="traffic" '
    'subtype="forward" level="notice" vd="root" srcip={ip} srcport={port} dstip=10.1.{o}.{o} dstport=443 '
    'action="close" policyid={o} sentbyte={n} rcvdbyte={port}': 6,
    "<{pri}>{day} {t} {h} notice tmm{o}[{n}]: 01010028:3: No members available for pool /Common/pool_{n}": 2,
    "<{pri}>{date}T{t}.{milli}Z {h} Hostd: info hostd[{n}] [Originator@6876 sub=Vimsvc.TaskManager opID={hex}] "
    "Task Created : haTask-ha-folder-vm-vim.Folder-{n}": 3,
    "<{pri}>{day} {t} haproxy[{n}]: {ip}:{port} [{date}:{t}.{milli}] http-in static/srv{o} 10/0/30/69/109 200 "
    "2750 - - ---- 1/1/1/1/0 0/0 GET /index-{n}.html HTTP/1.1": 3,
}


CORPORA = {"mixed": _MIXED, "standard": _STANDARD}
"""standard: only messages exactly as in RFC 3164 and RFC 5424."""


def lines(now: float, corpus: str = "mixed", seed: int = 1) -> Iterator[bytes]:
    """COUNT different lines of the minute before `now` (seconds since 1970): devices send as things happen."""
    chance = random.Random(seed)
    templates, weights = list(CORPORA[corpus]), list(CORPORA[corpus].values())
    for n in range(COUNT):
        moment = datetime.fromtimestamp(now - chance.randrange(60), UTC)
        yield (
            chance.choices(templates, weights)[0]
            .format(
                pri=chance.randrange(16, 192),
                t=f"{moment:%H:%M:%S}",
                date=f"{moment:%Y-%m-%d}",
                slashed=f"{moment:%Y/%m/%d}",
                year=moment.year,
                day=f"{moment:%b} {moment.day:2}",
                h=f"{chance.choice(('gw', 'sw', 'fw', 'srv'))}-{chance.randrange(300)}",
                n=n + 100_000,
                micro=f"{chance.randrange(1_000_000):06}",
                milli=f"{chance.randrange(1000):03}",
                ip=f"198.51.{chance.randrange(256)}.{chance.randrange(1, 255)}",
                o=chance.randrange(1, 255),
                port=chance.randrange(1024, 65536),
                user=chance.choice(("operator", "admin", "monitor", "backup", "jsmith")),
                hex=f"{chance.getrandbits(64):016x}",
                ifname=f"GigabitEthernet{chance.randrange(1, 5)}/0/{chance.randrange(1, 49)}",
            )
            .encode()
        )
