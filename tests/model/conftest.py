"""Tables that the examples make of the public sets, each made once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


def script(path: Path) -> Any:
    """Return an example's script as a module."""
    place = importlib.util.spec_from_file_location(path.stem, path)
    assert place is not None
    assert place.loader is not None
    module: Any = importlib.util.module_from_spec(place)
    sys.modules[path.stem] = module  # a dataclass looks its module up
    place.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def oulad(root: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oulad")
    script(root / "examples/model/oulad/weeks.py").build(data_dir, out)
    return out


@pytest.fixture(scope="session")
def inspections(root: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chicago")
    script(root / "examples/model/chicago/cut.py").cut(data_dir, out, days=60)
    return out
