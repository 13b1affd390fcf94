"""Programs from Debian's packages, unpacked into a folder: no root, nothing installed.

The machine's own package sources decide where they come from, and their signatures are checked by
apt as always. Its package lists are used when it has some; else lists of our own are fetched into
`build/apt`.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .cli import say
from .errors import DeployError

# A library package's name begins so; other things a package wants (a web server's fonts, another
# Perl) are not needed to run a program from a folder.
_LIBRARY = re.compile(r"^(lib|zlib)")
# PostgreSQL's compiler for queries, 30 MB unpacked to 100: switched off in
# deploy/config/postgresql.conf.
_LEFT_OUT = re.compile(r"^libllvm")


class Apt:
    """The apt of this machine, with its own package lists or with private ones."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = ["-q", "-o", "Debug::NoLocking=true", *options]
        if os.geteuid() == 0:  # else apt downloads as another user, who may not write to our folder
            self._options += ["-o", "APT::Sandbox::User=root"]

    @classmethod
    def private(cls, folder: Path) -> "Apt":
        """Return an apt whose lists and cache are in `folder`, just brought up to date."""
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        options = [
            f"Dir::State={folder}/state",
            f"Dir::State::lists={folder}/state/lists",
            "Dir::State::status=/var/lib/dpkg/status",
            f"Dir::Cache={folder}/cache",
            f"Dir::Cache::archives={folder}/cache/archives",
        ]
        apt = cls([part for option in options for part in ("-o", option)])
        # Its exit code also reports what a machine's own hooks after an update did; whether it
        # worked shows below.
        apt.run("apt-get", "update")
        return apt

    def run(
        self, program: str, *arguments: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of apt's programs and return what it answered, success or not."""
        command = [program, *self._options, *arguments]
        environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def depends(self, package: str) -> list[str]:
        """Return what a package depends on directly, in its own order; empty when it is unknown."""
        answer = self.run("apt-cache", "depends", package)
        return re.findall(r"^ +\|?Depends: ([a-z0-9.+-]+)$", answer.stdout, re.MULTILINE)

    def would_install(self, packages: Sequence[str]) -> list[str]:
        """Return what installing these packages would add to the machine, themselves included."""
        answer = self.run("apt-get", "--simulate", "--no-install-recommends", "install", *packages)
        return re.findall(r"^Inst (\S+)", answer.stdout, re.MULTILINE)

    def download(self, packages: Sequence[str], folder: Path) -> str | None:
        """Download packages into `folder`; return None, or the end of apt's answer on failure."""
        answer = self.run("apt-get", "download", *packages, folder=folder)
        if answer.returncode == 0:
            return None
        return "\n".join((answer.stdout + answer.stderr).splitlines()[-5:])


class Unpacked:
    """Packages unpacked into one folder, with the libraries that the machine lacks."""

    def __init__(self, name: str, root: Path, build: Path) -> None:
        self._name = name
        self.root = root
        self._build = build

    def fetch(self, wanted: str, pattern: str) -> None:
        """Unpack those of `wanted` and its direct dependencies whose names match `pattern`.

        Raises:
            DeployError: no apt here, or it has no such package, or the download failed.
        """
        for program in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(program) is None:
                raise DeployError(
                    f"{wanted} is not on this machine, and without {program} it cannot be fetched: "
                    "install it so that its programs are on PATH"
                )
        say(self._name, f"fetching Debian's package {wanted}")
        failure = self._fetch_with(Apt(), wanted, pattern)
        if failure is not None:
            say(
                self._name,
                "this machine's package lists do not serve; fetching our own into build/apt",
            )
            failure = self._fetch_with(Apt.private(self._build / "apt"), wanted, pattern)
        if failure is not None:
            raise DeployError(
                f"Debian's package {wanted} could not be fetched: is its source reachable?\n"
                f"{failure}"
            )

    def _fetch_with(self, apt: Apt, wanted: str, pattern: str) -> str | None:
        packages = [name for name in [wanted, *apt.depends(wanted)] if re.fullmatch(pattern, name)]
        if not packages:
            return f"no package that matches {pattern!r} is known"
        if (failure := self._unpack(apt, packages)) is not None:
            return failure
        if self.missing_libraries():
            added = [name for name in apt.would_install(packages) if name not in packages]
            libraries = [
                name for name in added if _LIBRARY.match(name) and not _LEFT_OUT.match(name)
            ]
            if not libraries:
                return f"no package is known that has {', '.join(self.missing_libraries())}"
            say(self._name, f"and {len(libraries)} libraries that this machine lacks")
            return self._unpack(apt, libraries)
        return None

    def _unpack(self, apt: Apt, packages: Sequence[str]) -> str | None:
        archives = self.root.with_suffix(".archives")
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir(parents=True)
        try:
            failure = apt.download(packages, archives)
            if failure is not None:
                return failure
            for archive in sorted(archives.glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", archive, self.root], check=True)
        except subprocess.CalledProcessError as exc:
            return f"unpacking failed: {exc}"
        finally:
            shutil.rmtree(archives)
        return None

    def library_path(self) -> str:
        """Return the folders of unpacked libraries, for LD_LIBRARY_PATH; empty without any."""
        # Some packages keep libraries of their own a folder deeper, and name that folder from the
        # root: libpulse asks for /usr/lib/x86_64-linux-gnu/pulseaudio.
        folders = {
            path.parent
            for place in ("usr/lib", "lib")
            for depth in ("*/lib*.so*", "*-linux-*/*/lib*.so*")
            for path in (self.root / place).glob(depth)
        }
        return ":".join(str(folder) for folder in sorted(folders))

    def missing_libraries(self) -> list[str]:
        """Return the shared libraries that the unpacked programs ask for and nothing has."""
        places = ("usr/bin/*", "usr/lib/postgresql/*/bin/*", "usr/lib/chromium/chromium*")
        programs = [program for place in places for program in self.root.glob(place)]
        environment = os.environ | {"LD_LIBRARY_PATH": self.library_path(), "LC_ALL": "C"}
        missing: set[str] = set()
        for program in programs:
            answer = subprocess.run(
                ["ldd", program], env=environment, capture_output=True, text=True, check=False
            )
            missing.update(re.findall(r"^\s*(\S+) => not found", answer.stdout, re.MULTILINE))
        return sorted(missing)

    def require_whole(self) -> None:
        """Raise DeployError when a library is still missing."""
        if missing := self.missing_libraries():
            raise DeployError(
                f"{self._name}: no package brought {', '.join(missing)}: install it on this machine"
            )
