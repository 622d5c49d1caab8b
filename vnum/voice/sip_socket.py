"""The sockets on which the SIP stack listens, seen from beside it: whose packets come in at all, and when one came.

The library tells neither where a message came from nor when. Both are the kernel's to say: a filter on the socket lets
no stranger's packet through to a parser, and the socket remembers the instant of the packet that was read last.
"""

import ctypes
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from typing import Final

_ATTACH_FILTER: Final = 26
_MEMORY_INFO: Final = 55
_STAMP_NS: Final = 0x8907
"""SO_ATTACH_FILTER, SO_MEMINFO and SIOCGSTAMPNS of Linux."""

_MEMORY_WORDS: Final = 9
_LOAD, _AND, _IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_SOURCE: Final = 0xFFF00000 + 12
"""Of a classic packet filter: the IPv4 header's source address, from a datagram socket."""

_WHOLE: Final = 0xFFFFFFFF
_NANO: Final = 1_000_000_000
_MOST_AGE_NS: Final = 5 * _NANO
"""Nothing waits longer to be read; then the machine's clock was set meanwhile."""


class SipSocket:
    """Raises OSError where there is none, or a kernel that can not do that."""

    def __init__(self, port: int) -> None:
        self._sockets = _listening(port)
        if not self._sockets:
            raise OSError("the stack listens nowhere")
        for one in self._sockets:
            _stamp(one)  # it is kept from the first question on

    def allow(self, networks: Iterable[IPv4Network]) -> None:
        """From now on what others send is thrown away by the kernel, unanswered. Raises OSError."""
        program = _filter(tuple(networks))
        held = ctypes.create_string_buffer(program)
        option = struct.pack("HL", len(program) // 8, ctypes.addressof(held))
        for one in self._sockets:
            one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, option)

    def unheard(self) -> int:
        """Packets thrown away so far: strangers', and those that there was no room for."""
        return sum(_unheard(one) for one in self._sockets)

    def age_s(self) -> float:
        """For how many seconds the packet that the stack read last has been on this machine."""
        now = time.time_ns()
        age = now - max(_stamp(one) for one in self._sockets)
        return age / _NANO if 0 <= age <= _MOST_AGE_NS else 0.0

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def _listening(port: int) -> Sequence[socket.socket]:
    """A handle of our own on each UDP socket of this process with that port."""
    found: dict[int, socket.socket] = {}
    for name in os.listdir("/proc/self/fd"):
        if (one := _handle(int(name))) is None:
            continue
        file = os.fstat(one.fileno()).st_ino
        if file not in found and _is_udp(one) and one.getsockname()[1] == port:
            found[file] = one
        else:  # it also comes by the handle just made
            one.close()
    return tuple(found.values())


def _handle(number: int) -> socket.socket | None:
    """None = no socket, or closed meanwhile."""
    try:
        handle = os.dup(number)
    except OSError:
        return None
    try:
        return socket.socket(fileno=handle)
    except OSError:
        os.close(handle)
        return None


def _is_udp(one: socket.socket) -> bool:
    return one.family == socket.AF_INET and one.type == socket.SOCK_DGRAM


def _stamp(one: socket.socket) -> int:
    """Nanoseconds since 1970; 0 = nothing came yet."""
    try:
        seconds, rest = struct.unpack("qq", fcntl.ioctl(one.fileno(), _STAMP_NS, bytes(16)))
    except FileNotFoundError:
        return 0
    return int(seconds) * _NANO + int(rest)


def _unheard(one: socket.socket) -> int:
    words = struct.unpack(f"{_MEMORY_WORDS}I", one.getsockopt(socket.SOL_SOCKET, _MEMORY_INFO, 4 * _MEMORY_WORDS))
    return int(words[-1])


def _filter(networks: Sequence[IPv4Network]) -> bytes:
    """Four instructions a network, and a last one that throws away."""
    steps: list[tuple[int, int, int, int]] = []
    for network in networks:
        steps += [
            (_LOAD, 0, 0, _SOURCE),
            (_AND, 0, 0, int(network.netmask)),
            (_IF_EQUAL, 0, 1, int(network.network_address)),
            (_RETURN, 0, 0, _WHOLE),
        ]
    return b"".join(struct.pack("HBBI", *step) for step in (*steps, (_RETURN, 0, 0, 0)))
