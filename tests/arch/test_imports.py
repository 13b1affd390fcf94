from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arch.tree import ROOT, python_files

LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the package and of its contracts, to plant something in."""
    for path in (Path("pyproject.toml"), *python_files("services")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    return tmp_path


def create(module: Path) -> None:
    """Create an empty module, and the package that it stands in, unless they are there."""
    module.parent.mkdir(exist_ok=True)
    (module.parent / "__init__.py").touch()
    if not module.is_dir():
        module.with_suffix(".py").touch()


def test_every_import_contract_is_kept() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert " 0 broken" in answer.stdout


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("intake/planted.py", "import services.risk", "tiers"),
        ("kernel/errors.py", "import services.alerts", "tiers"),
        ("planted/__init__.py", "", "tiers"),
        ("alerts/domain/planted.py", "import services.alerts.ports", "inside a service"),
        ("kernel/contracts/planted.py", "import services.kernel.http", "inside the kernel"),
        ("risk/domain/planted.py", "import sqlalchemy", "pure"),
        ("intake/planted.py", "import kafka", "one door to kafka"),
        ("risk/planted.py", "from faust import App", "one door to faust"),
        ("alerts/planted.py", "import prometheus_client", "one door to prometheus"),
        ("registry/planted.py", "import cryptography.x509", "one door to cryptography"),
        ("intake/domain/planted.py", "import services.kernel.protect", "pure"),
        ("risk/domain/planted.py", "import sklearn.tree", "one door to scikit-learn"),
        ("risk/planted.py", "import services.risk.training", "one door to training"),
        ("kernel/clock.py", "import services.kernel.bus", "no cycles"),
    ],
)
def test_a_planted_import_breaks_its_contract(
    copy: Path, path: str, line: str, contract: str
) -> None:
    services = copy / "services"
    for wanted in ("alerts/ports", "kernel/http", "risk/training", path.removesuffix(".py")):
        create(services / wanted)
    with (services / path).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    answer = lint_imports(copy)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"{contract} BROKEN" in answer.stdout
