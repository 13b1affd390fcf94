"""Where one server lives: `build/<name>`, with its remembered state and a lock."""

import contextlib
import fcntl
import json
import os
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .account import Account
from .errors import DeployError
from .waiting import wait_until

CONFIG = Path(__file__).resolve().parents[1] / "config"
_BUILD = Path(__file__).resolve().parents[2] / "build"


class Home:
    """The folder of one server instance; made when something is first written to it."""

    def __init__(self, name: str, instance: str | None = None, build: Path = _BUILD) -> None:
        self.name = name if instance is None else f"{name}-{instance}"
        self.build = build
        self._link = build / self.name

    @property
    def path(self) -> Path:
        """The folder, with links followed; it need not exist."""
        return self._link.resolve()

    def make(self, account: Account) -> Path:
        """Make the folder where `account` can reach it, and return it.

        A checkout below a closed folder (a root's home, a private temporary folder) is out of reach
        for an unprivileged account. Then the data goes to a temporary folder of its own and
        `build/<name>` is a link to it.
        """
        if self._link.is_symlink() and not self._link.exists():
            self._link.unlink()  # the temporary folder was cleaned away
        try:
            self.build.mkdir(parents=True, exist_ok=True)
            if self._link.exists():
                return self.path
            if account.can_enter(self.build):
                self._link.mkdir()
            else:
                elsewhere = Path(
                    tempfile.mkdtemp(prefix=f"hearthwatch-{self.name}-", dir="/var/tmp")
                )
                elsewhere.chmod(0o755)
                self._link.symlink_to(elsewhere)
        except PermissionError as exc:
            raise DeployError(
                f"cannot write to {exc.filename}: expected a folder of the caller's; it may belong "
                "to the user who ran this before: run as that user, or remove it"
            ) from exc
        return self.path

    def folder(self, name: str, account: Account) -> Path:
        """Make a folder inside that `account` owns, and return it."""
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        account.own(path)
        return path

    def load(self) -> dict[str, Any]:
        """Return what was remembered, or an empty dictionary."""
        try:
            text = (self.path / "state.json").read_text(encoding="utf-8")
            state = json.loads(text)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise DeployError(
                f"{self.path / 'state.json'} cannot be read ({exc}): `down --wipe`, then `up`"
            ) from exc
        if not isinstance(state, dict):
            raise DeployError(
                f"{self.path / 'state.json'} holds no JSON object: `down --wipe`, then `up`"
            )
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Remember `state`, in one step: a crash leaves the old or the new."""
        target = self.path / "state.json"
        beside = target.with_suffix(".part")
        beside.write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(target)

    def render(self, template: str, target: Path, values: Mapping[str, object]) -> None:
        """Write a template of `deploy/config` with its values filled in; all must be given."""
        text = (CONFIG / template).read_text(encoding="utf-8")
        target.write_text(string.Template(text).substitute(values), encoding="utf-8")

    def wipe(self, *names: str) -> None:
        """Remove these files and folders, patterns allowed, and the remembered state."""
        self.wipe_files(*names, "state.json")

    def wipe_files(self, *names: str) -> None:
        """Remove these files and folders, patterns allowed."""
        for path in [path for pattern in names for path in self.path.glob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextlib.contextmanager
    def lock(self, timeout_s: float, name: str = "lock") -> Iterator[None]:
        """Hold the instance alone; the lock ends with the process, also with a killed one.

        The folder must exist. What several instances share (fetched programs) has a lock of its
        own, by another `name`.

        Raises:
            DeployError: another command held it for `timeout_s`.
        """
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644)
        except PermissionError as exc:
            raise DeployError(
                f"{exc.filename} belongs to another user: run this command as that user"
            ) from exc
        try:
            if wait_until(lambda: None if _locked(descriptor) else "held", timeout_s) is not None:
                raise DeployError(
                    f"another command works on {self.name} since {timeout_s:.0f} s: let it end"
                )
            yield
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
