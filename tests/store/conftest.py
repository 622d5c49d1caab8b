"""The engines of tests/engines.py."""

from tests.engines import bare_world, key_folder, schema, world

__all__ = ["bare_world", "key_folder", "schema", "world"]
