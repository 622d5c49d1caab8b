"""What the kernel knows of a SIP socket: when a packet came, and whose come in."""

import os
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from vnum.voice.sip_socket import SipSocket

LATE_S = 0.2


@pytest.fixture
def stack() -> Iterator[socket.socket]:
    """A socket as the library would have it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(5)
        yield one


def say(host: str, to: socket.socket, words: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((host, 0))
        one.sendto(words, to.getsockname())


def until_stamped(stack: socket.socket, watched: SipSocket) -> None:
    """The kernel begins to stamp packets a moment after it was asked to."""
    age_s = 0.0
    while age_s < LATE_S / 10:
        say("127.0.0.1", stack, b"stamped?")
        sent = time.monotonic()
        while time.monotonic() < sent + LATE_S / 10:
            pass
        stack.recv(100)
        age_s = watched.age_s()


def test_a_packet_is_as_old_as_its_arrival(stack: socket.socket) -> None:
    watched = SipSocket(stack.getsockname()[1])
    until_stamped(stack, watched)
    say("127.0.0.1", stack, b"first")
    sent = time.monotonic()
    while time.monotonic() < sent + LATE_S:  # a stack that is busy taking a leg down
        pass
    stack.recv(100)
    assert LATE_S <= watched.age_s() <= time.monotonic() - sent + LATE_S / 2
    watched.close()


def test_before_anything_came_there_is_no_age(stack: socket.socket) -> None:
    watched = SipSocket(stack.getsockname()[1])
    assert watched.age_s() == 0.0
    watched.close()


def test_only_who_is_named_comes_in(stack: socket.socket) -> None:
    watched = SipSocket(stack.getsockname()[1])
    watched.allow([IPv4Network(one) for one in ("192.0.2.0/24", "127.0.1.0/24", "127.0.0.5/32")])
    for host in ("127.0.0.1", "127.0.2.1", "127.0.0.4", "127.0.1.9", "127.0.0.5"):
        say(host, stack, host.encode())
    assert [stack.recv(100), stack.recv(100)] == [b"127.0.1.9", b"127.0.0.5"]
    assert watched.unheard() == 3
    watched.close()


def test_it_leaves_no_handle_behind(stack: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    SipSocket(stack.getsockname()[1]).close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_port_that_is_not_listened_on_has_no_socket() -> None:
    with pytest.raises(OSError, match="listens nowhere"):
        SipSocket(1)
