"""The world of the API's tests, with a recorder of all that it answers."""

from tests.api.conftest import open_world, world

__all__ = ["open_world", "world"]
