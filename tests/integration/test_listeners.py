"""The listeners on real sockets: everything sent is taken, limits hold, nobody else suffers."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.errors import MuttError
from muttd.listeners import tcp, udp
from muttd.listeners.recvmmsg import Burst, Slots
from muttd.listeners.sources import Allowed
from tests.listening import Taken, close, connect, listening

Eventually = Callable[..., Awaitable[Any]]

_IP_RECVERR = 11


def _own_addresses() -> list[tuple[Any, ...]]:
    """Loopback, and an address that is only valid with its interface where this host has one."""
    known = Path("/proc/net/if_inet6")
    link_local: list[tuple[Any, ...]] = [
        (socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), 0, 0, int(interface, 16))
        for digits, interface, *_ in map(str.split, known.read_text().splitlines() if known.exists() else ())
        if digits.startswith("fe80")
    ]
    return [("127.0.0.1", 0), ("::1", 0), *link_local[:1]]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_datagrams_are_taken_in_order_and_answered(address: str, eventually: Eventually) -> None:
    taken = Taken()
    listener = udp.UdpListener(udp.bind((address, 0), 1 << 20), taken.datagrams)
    listener.start()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(10)
        sender.connect((address, listener.port))
        sent = [b"", b"x" * 65_507, b"echo", *(str(number).encode() for number in range(2000))]
        for data in sent:
            sender.send(data)
        await eventually(lambda: len(taken) == len(sent))
        assert sender.recv(100) == b"ECHO"
    listener.stop()
    assert taken == sent
    assert taken.peers == {address}
    assert listener.new_kernel_drops() == 0


async def test_stopping_takes_what_the_kernel_still_holds() -> None:
    taken = Taken()
    listener = udp.UdpListener(udp.bind(("127.0.0.1", 0), 1 << 20), taken.datagrams)
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(500):
            sender.sendto(str(number).encode(), ("127.0.0.1", listener.port))
    listener.stop()  # the loop has not had a turn since
    assert len(taken) == 500


async def test_stopping_takes_what_is_behind_an_error_of_the_socket(eventually: Eventually) -> None:
    taken = Taken()
    listener = udp.UdpListener(udp.bind(("127.0.0.1", 0), 1 << 20), taken.datagrams)
    listener.socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        with udp.bind(("127.0.0.1", 0), 4096) as gone:
            nobody = gone.getsockname()
        for number in range(1000):
            sender.sendto(str(number).encode(), ("127.0.0.1", listener.port))
        listener.socket.sendto(b"answer", nobody)  # the kernel holds ECONNREFUSED for whoever reads next
        listener.start()
        listener.stop()
    assert taken == [str(number).encode() for number in range(1000)]


async def test_a_fault_leaves_no_listener_deaf(eventually: Eventually) -> None:
    taken, calls = Taken(), [0]

    def take(burst: Burst, received: float, answer: udp.Answer) -> None:
        calls[0] += 1
        if calls[0] % 3 == 0 and len(taken) < 200:
            raise ZeroDivisionError
        taken.datagrams(burst, received, answer)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    listener = udp.UdpListener(udp.bind(("127.0.0.1", 0), 1 << 21), take)
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", listener.port))

        async def many_were_taken() -> bool:
            for _ in range(20):
                sender.send(b"closer together than they have to be to gather")
                await asyncio.sleep(0)
            return len(taken) >= 200

        await eventually(many_were_taken)
    listener.stop()


@pytest.mark.parametrize("address", _own_addresses())
def test_a_sender_is_who_the_socket_module_says(address: tuple[Any, ...]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as opened, socket.socket(family, socket.SOCK_DGRAM) as sender:
        opened.bind(address)
        sender.bind(address)
        for _ in range(2):
            sender.sendto(b"x", opened.getsockname())
        assert [(*opened.recvfrom(9), ())] == Slots(opened).receive()


def test_more_senders_than_are_remembered_are_told_apart() -> None:
    with udp.bind(("127.0.0.1", 0), 1 << 20) as opened:
        slots, heard, sent = Slots(opened), [], []
        for number in range(5000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind((f"127.0.{number % 250}.{number // 250 + 1}", 0))
                sender.sendto(b"", opened.getsockname())
                sent.append((b"", sender.getsockname(), ()))
            if number % 50 == 0:
                heard += slots.receive()
        heard += slots.receive()
        assert heard == sent


def test_slots_that_no_datagram_reached_cost_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    with udp.bind(("127.0.0.1", 0), 4096) as opened:
        before = resident()
        kept = [Slots(opened) for _ in range(8)]
        assert resident() - before < len(kept) << 20


async def test_what_the_kernel_dropped_is_counted() -> None:
    taken = Taken()
    listener = udp.UdpListener(udp.bind(("127.0.0.1", 0), 4096), taken.datagrams)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"x" * 1000, ("127.0.0.1", listener.port))
    dropped = listener.new_kernel_drops()
    assert listener.new_kernel_drops() == 0
    listener.start()
    listener.stop()
    assert dropped > 0
    assert len(taken) + dropped == 200


async def test_a_port_in_use_is_one_clear_line() -> None:
    held = udp.bind(("127.0.0.1", 0), 4096)
    port = held.getsockname()[1]
    with held, pytest.raises(MuttError, match=rf"UDP 127.0.0.1:{port}: in use by another program"):
        udp.bind(("127.0.0.1", port), 4096)
    held = tcp.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    with held, pytest.raises(MuttError, match=rf"TCP 127.0.0.1:{port}: in use by another program"):
        tcp.bind(("127.0.0.1", port))


async def test_both_framings_on_one_connection_and_the_last_line_without_its_end(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken) as listener:
        _, writer = await connect(listener)
        writer.write(b"<13>a\n5 <13>b<13>c\r\n")
        await eventually(lambda: len(taken) == 3)
        writer.write(b"<13>d")
        await close(writer)
        await eventually(lambda: len(taken) == 4)
        await eventually(lambda: listener.connections == 0)
    assert [text.strip() for text in taken] == [b"<13>a", b"<13>b", b"<13>c", b"<13>d"]
    assert taken.peers == {"127.0.0.1"}


async def test_an_endless_line_is_bounded_and_disturbs_nobody(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken) as listener:
        _, endless = await connect(listener)
        for _ in range(100):
            endless.write(b"x" * 10_000)
            await endless.drain()
        _, other = await connect(listener)
        other.write(b"<13>fine\n")
        await eventually(lambda: b"<13>fine" in taken)
        endless.write(b"\n<13>back\n")
        await eventually(lambda: b"<13>back" in taken)
        await close(endless)
        await close(other)
    assert max(map(len, taken)) <= 1001


async def test_without_room_it_does_not_read_and_nothing_is_lost(eventually: Eventually) -> None:
    taken, room, asked = Taken(), [False], [0]

    def has_room() -> bool:
        asked[0] += 1
        return room[0]

    async with listening(taken, room=has_room) as listener:
        _, writer = await connect(listener)
        lines = [b"<13>%06d" % number for number in range(200_000)]
        writer.write(b"".join(line + b"\n" for line in lines))
        await eventually(lambda: len(taken) > 0)
        seen = asked[0]
        await eventually(lambda: asked[0] > seen + 5)  # it had every chance to read on
        held_back = len(taken)
        assert held_back < len(lines) // 2
        room[0] = True
        await eventually(lambda: len(taken) == len(lines))
        assert taken == lines
        await close(writer)


async def test_limits_of_connections_and_sources(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken, max_connections_per_peer=2) as listener:
        pairs = [await connect(listener) for _ in range(3)]
        await eventually(lambda: taken.refused["connections_per_peer"] == 1)
        assert await pairs[2][0].read() == b""
        await close(pairs[0][1])
        await eventually(lambda: listener.connections == 1)
        again, writer = await connect(listener)
        writer.write(b"<13>x\n")
        await eventually(lambda: taken == [b"<13>x"])
        for one in (*(writer for _, writer in pairs), writer):
            await close(one)
        assert again is not None
    async with listening(taken, allowed=Allowed([ip_network("192.0.2.0/24")])) as listener:
        reader, writer = await connect(listener)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert taken.refused["source"] == 1
        await close(writer)


async def test_an_idle_connection_is_closed_and_what_it_had_begun_is_kept(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken, idle_timeout=0.2) as listener:
        reader, writer = await connect(listener)
        writer.write(b"<13>begun")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert taken == [b"<13>begun"]
        await close(writer)


@given(st.lists(st.ip_addresses(v=4).map(str), max_size=20))
@settings(deadline=None)
def test_allowed_is_what_the_networks_hold(addresses: list[str]) -> None:
    allowed = Allowed([ip_network("10.0.0.0/8"), ip_network("128.0.0.0/1"), ip_network("2001:db8::/32")])
    for address in addresses:
        first = int(address.split(".")[0])
        assert allowed(address) is (first == 10 or first >= 128)
        assert allowed(f"::ffff:{address}") is allowed(address)
    assert allowed("2001:db8::1%eth0")
    assert not allowed("fe80::1%eth0")
    assert Allowed([])("anything")


V1 = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 514\r\n"
BALANCER = Allowed([ip_network("127.0.0.0/8")])


async def test_a_balancer_is_believed_and_others_are_not(eventually: Eventually) -> None:
    taken = Taken()
    allowed = Allowed([ip_network("198.51.100.0/24")])
    async with listening(taken, balancer=BALANCER, allowed=allowed) as listener:
        _, writer = await connect(listener)
        for octet in V1:  # however it is cut
            writer.write(bytes([octet]))
            await writer.drain()
        writer.write(b"<13>a\n")
        await eventually(lambda: taken == [b"<13>a"])
        assert taken.peers == {"198.51.100.7"}
        reader, other = await connect(listener)
        other.write(V1.replace(b"198.51", b"203.0") + b"<13>b\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert taken.refused == {"source": 1}
        await close(other)
        await close(writer)
    async with listening(taken) as listener:
        _, writer = await connect(listener)
        writer.write(V1)
        await eventually(lambda: len(taken) == 2)
        assert taken[1] == V1.strip()  # text of a stranger like any other
        await close(writer)


@pytest.mark.parametrize("opening", [b"<13>no header\n", b"PROXY TCP4 x y 1 2\r\n", b"PROXY " + b"x" * 200])
async def test_a_balancer_without_its_header_is_cut_off(opening: bytes) -> None:
    taken = Taken()
    async with listening(taken, balancer=BALANCER) as listener:
        reader, writer = await connect(listener)
        writer.write(opening)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert taken == []
        assert taken.refused == {"proxy_header": 1}
        await close(writer)


async def test_a_balancer_that_says_nothing_is_not_waited_for() -> None:
    taken = Taken()
    async with listening(taken, balancer=BALANCER, opening_limit=0.2) as listener:
        reader, writer = await connect(listener)
        writer.write(V1[:20])
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert taken.refused == {"slow_opening": 1}
        await close(writer)


async def test_stopping_takes_what_a_connection_has_sent(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken) as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as client:
            client.sendall(b"<13>first\n")
            await eventually(lambda: taken)
            for number in range(1000):
                client.sendall(b"<13>%d\n" % number)
            await listener.stop()  # the loop has not looked since
    assert taken == [b"<13>first", *(b"<13>%d" % number for number in range(1000))]


async def test_a_message_that_does_not_end_is_taken_as_it_stands(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken, frame_limit=0.4) as listener:
        _, writer = await connect(listener)
        writer.write(b"900 <13>the count lies\n<13>and this one is behind it")
        await eventually(lambda: taken == [b"<13>the count lies\n<13>and this one is behind it"])
        writer.write(b"<13>heard at once\n<13>no end of line")
        await eventually(lambda: taken[1:] == [b"<13>heard at once", b"<13>no end of line"])
        writer.write(b"15 <13>whole again")
        await eventually(lambda: taken[3:] == [b"<13>whole again"])
        await close(writer)


async def test_a_message_that_ends_in_time_is_whole(eventually: Eventually) -> None:
    taken = Taken()
    async with listening(taken, frame_limit=60) as listener:
        _, writer = await connect(listener)
        for part in (b"20 <13>in", b" two se", b"gments"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"\n<13>next\n")
        await eventually(lambda: taken == [b"<13>in two segments", b"<13>next"])
        await close(writer)
