"""The description of the API (OpenAPI 3.1), made from the endpoints, their structs and their docstrings."""

from vnum.api.openapi.document import describe
from vnum.api.openapi.operations import Lacking

__all__ = ["Lacking", "describe"]
