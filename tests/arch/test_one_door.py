from __future__ import annotations

from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from tests.arch.doors import (
    CLOCK_DOORS,
    clock_reads,
    lines_matching,
    places_of_this_machine,
    registry_hosts,
)
from tests.arch.tree import ROOT, files, python_files


def text_of(path: Path) -> str:
    """Return the text of a file; a picture or an archive has none to look at."""
    content = (ROOT / path).read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def test_only_the_clock_reads_the_time() -> None:
    found = [
        f"{path}:{line}: {name}: use the Clock or Monotonic port of services/kernel/clock.py"
        for path in python_files("services", "tests", "deploy", "requirements")
        if path.as_posix() not in CLOCK_DOORS
        for line, name in clock_reads(text_of(path))
    ]
    assert found == []


@pytest.mark.parametrize("door", sorted(CLOCK_DOORS))
def test_each_door_to_the_clock_is_needed(door: str) -> None:
    assert list(clock_reads(text_of(Path(door))))


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nwait = t.monotonic",
        "from time import time as now",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import datetime\ndatetime.now(tz=None)",
        "from datetime import datetime as moment\nread = moment.utcnow  # noqa: TID251",
        "import asyncio\nasync def f():\n    await asyncio.sleep(1)",
        "def f():\n    import threading\n    threading.Timer(1, print)",
    ],
)
def test_a_clock_read_is_found_under_any_name(source: str) -> None:
    assert list(clock_reads(source))


@pytest.mark.parametrize(
    "source",
    [
        "def f(clock):\n    return clock.now()",
        "from datetime import datetime, timedelta\ndatetime.fromisoformat('2026-01-01')",
        "class A:\n    def time(self):\n        return self.clock.time()",
    ],
)
def test_what_only_looks_like_a_clock_is_let_through(source: str) -> None:
    assert list(clock_reads(source)) == []


def test_no_file_names_a_package_host_or_a_path_of_one_machine() -> None:
    patterns = [*registry_hosts(), *places_of_this_machine(ROOT)]
    found = [
        f"{path}:{line}: {text[:120]}"
        for path in files()
        for line, text in lines_matching(text_of(path), patterns)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        f"see https://{PyPI.netloc}/simple/",
        f"wheel from {PyPI.file_storage_domain}",
        "cd " + "/home" + "/ann/hearthwatch",
        "open('" + "/root" + "/notes')",
        f"python {ROOT}/tests",
    ],
)
def test_a_planted_host_or_path_is_found(line: str) -> None:
    assert list(lines_matching(line, [*registry_hosts(), *places_of_this_machine(ROOT)]))


def test_lock_files_hold_hashes_and_name_no_index() -> None:
    for name in ("base.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        entries = text.replace("\\\n", " ").splitlines()
        assert entries
        for entry in entries:
            assert "==" in entry, f"requirements/{name}: {entry[:80]!r}: expected NAME==VERSION"
            assert "--hash=sha256:" in entry, f"requirements/{name}: {entry[:80]!r} has no hash"
            assert "://" not in entry, f"requirements/{name}: {entry[:80]!r} names an address"


def test_the_package_that_is_tested_is_the_one_of_this_checkout() -> None:
    import services  # noqa: PLC0415 - the import is what is tested

    assert services.__file__ is not None
    assert Path(services.__file__).parent == ROOT / "services"
