"""The programs of deploy/ as modules: they are files to be copied, and belong to no package."""

import importlib.util
from pathlib import Path
from typing import Any

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy"


def program(name: str) -> Any:
    """`name` = its place in deploy/."""
    file = DEPLOYED / name
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
