"""Addresses of SIP phones as they are given on the command line."""

import ipaddress

import click

from vnum.voice.softphone.sip import Address


class SipAddress(click.ParamType[Address]):
    """An IPv4 address and a UDP port, 5060 without."""

    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        host, _, port = value.partition(":")
        try:
            at = str(ipaddress.IPv4Address(host)), int(port or 5060)
        except ValueError:
            self.fail("an IPv4 address and a port: 127.0.0.1:5060", param, ctx)
        if not 0 < at[1] < 65536:
            self.fail("a port is between 1 and 65535", param, ctx)
        return at
