"""Stands in for the package that redis-py wants below Python 3.11.3, where our environment is used by an older
interpreter of the system (see `public_python`)."""

from asyncio import timeout

__all__ = ["timeout"]
