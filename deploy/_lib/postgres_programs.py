"""PostgreSQL's programs: those of this machine, else Debian's, unpacked under `build/postgres`."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .account import Account
from .debian import Unpacked
from .errors import DeployError
from .home import Home

_NEEDED = ("postgres", "initdb", "psql")
_OLDEST = 14


@dataclass(frozen=True)
class Programs:
    """One installation: folder of programs, major version, environment of its processes."""

    folder: Path
    major: int
    environment: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def _major(folder: Path, account: Account, environment: Mapping[str, str]) -> int | None:
    """Return the major version in `folder`, or None when the account cannot use it."""
    if any(not (folder / name).is_file() for name in _NEEDED):
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            **account.popen_options(),
            cwd="/",
            env=dict(environment),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version[1]) if version else None


def installed(account: Account) -> list[Programs]:
    """Return the usable installations of this machine, the one on PATH first, then the newest."""
    folders = []
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of, reverse=True)
    found = [(folder, _major(folder, account, {})) for folder in dict.fromkeys(folders)]
    return [
        Programs(folder, major) for folder, major in found if major is not None and major >= _OLDEST
    ]


def _version_of(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def unpacked(home: Home, account: Account) -> Programs:
    """Return Debian's PostgreSQL from below `home`, fetched when it is not there.

    Raises:
        DeployError: it cannot be fetched or does not run; the message says why.
    """
    packages = Unpacked("postgres", home.path / "debian", home.build)
    complete = home.path / "debian.complete"
    if not complete.exists():
        shutil.rmtree(packages.root, ignore_errors=True)
        packages.fetch("postgresql", r"postgresql-\d+")
        packages.fetch("postgresql-client", r"postgresql-client-\d+")
        packages.require_whole()
        complete.touch()
    libraries = packages.library_path()
    environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    for folder in packages.root.glob("usr/lib/postgresql/*/bin"):
        major = _major(folder, account, environment)
        if major is not None:
            return Programs(folder, major, environment)
    raise DeployError(
        f"{packages.root} holds no PostgreSQL that user {account.name} can run: remove it and retry"
    )


def choose(home: Home, account: Account, *, major: int | None, fetch: bool) -> Programs:
    """Return the installation to run.

    Args:
        home: Where fetched programs are kept.
        account: Who will run them.
        major: Version of the data that is already there; another version cannot read it.
        fetch: Pass over what the machine has.
    """
    candidates = [] if fetch else installed(account)
    fitting = [programs for programs in candidates if major in (None, programs.major)]
    if fitting:
        return fitting[0]
    programs = unpacked(home, account)
    if major not in (None, programs.major):
        raise DeployError(
            f"the data is PostgreSQL {major}'s, and only version {programs.major} is to be had: "
            f"install version {major}, or dump with it, `deploy/postgres down --wipe` and restore"
        )
    return programs
