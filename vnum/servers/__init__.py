"""The servers behind vnum: the user's own, or PostgreSQL and Valkey out of wheels, run from here."""

from vnum.servers.doctor import examine
from vnum.servers.findings import Finding, State
from vnum.servers.opening import Endpoints, open_servers
from vnum.servers.trouble import ServerTrouble

__all__ = ["Endpoints", "Finding", "ServerTrouble", "State", "examine", "open_servers"]
