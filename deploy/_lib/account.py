"""Who the servers run as: the caller, or an unprivileged account when the caller is root."""

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DeployError

# Accounts that every Debian has and that own nothing worth having.
_UNPRIVILEGED = ("nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An operating-system account; `switch` is true when it is not the caller's."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess` start a process as this account."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make the account the owner of `path` itself (not of what is in it)."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, directory: Path) -> bool:
        """Return whether the account can reach into `directory`, asked of the system."""
        return self._succeeds('cd "$1"', directory)

    def can_read(self, path: Path) -> bool:
        """Return whether the account can read `path`."""
        return self._succeeds('test -r "$1"', path)

    def _succeeds(self, script: str, path: Path) -> bool:
        answer = subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(path)],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
            **self.popen_options(),
        )
        return answer.returncode == 0


def caller() -> Account:
    """Return the account that runs this command."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a number that no account has
        name = str(uid)
    return Account(name=name, uid=uid, gid=os.getegid(), switch=False)


def unprivileged() -> Account:
    """Return the account that servers run as: the caller, or for root an unprivileged one.

    Raises:
        DeployError: the caller is root and no unprivileged account exists.
    """
    if os.geteuid() != 0:
        return caller()
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    raise DeployError(
        f"running as root, and none of the accounts {', '.join(_UNPRIVILEGED)} exists: expected "
        "one to run the server as; run this as an ordinary user"
    )


def server_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a small environment: nothing of the caller's to leak or to be steered by."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
    return environment | dict(extra or {})
