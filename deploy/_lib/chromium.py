"""`deploy/chromium`: a headless Chromium that can show Chinese, for the tests of the pages."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import account as accounts
from . import cli
from .cli import Options, Outcome, say
from .debian import Unpacked
from .errors import DeployError
from .home import Home

_EXAMPLE = """\
  export HEARTHWATCH_TEST_CHROMIUM=$(deploy/chromium fetch)    # prints the path of the executable
  deploy/chromium fetch --fetch      # Debian's packages even if one is installed
  deploy/chromium status --json
  deploy/chromium wipe               # remove what was fetched"""
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
# A page that only a browser with its data files and its script engine can show.
_PAGE = "data:text/html;charset=utf-8,<p>守望</p><script>document.body.append('at',6*7)</script>"
_SHOWN = ("守望", "at42")
_STARTS_WITHIN_S = 60


def _installed() -> Path | None:
    """Return this machine's Chromium if it can show Chinese, else None."""
    fonts = shutil.which("fc-list")
    if fonts is None:
        return None
    answer = subprocess.run([fonts, ":lang=zh"], capture_output=True, check=False)
    if not answer.stdout.strip():
        return None
    for name in _NAMES:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    return None


def fault(program: Path) -> str | None:
    """Return why this browser cannot show a page, or None."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command = [str(program), *flags, "--dump-dom", _PAGE]
    try:
        answer = subprocess.run(command, capture_output=True, check=False, timeout=_STARTS_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    shown = answer.stdout.decode(errors="replace")
    if all(part in shown for part in _SHOWN):
        return None
    said = answer.stderr.decode(errors="replace").splitlines()[-5:]
    return "\n".join([f"showed {shown[:200]!r}", *said])


def unpacked(home: Home, timeout_s: float) -> Path:
    """Return Debian's Chromium from below `home`, fetched when it is not there.

    Raises:
        DeployError: it cannot be fetched, or does not show a page; the message says why.
    """
    packages = Unpacked("chromium", home.path / "debian", home.build)
    complete = home.path / "debian.complete"
    start = home.path / "chromium"
    with home.lock(timeout_s, "fetch.lock"):
        if complete.exists():
            return start
        shutil.rmtree(packages.root, ignore_errors=True)
        packages.fetch("chromium-headless-shell", "chromium-(headless-shell|common)")
        packages.fetch("fonts-wqy-microhei", "fonts-wqy-microhei")
        packages.require_whole()
        _write_start(home, packages, start)
        if (reason := fault(start)) is not None:
            raise DeployError(f"{start} does not show a page: {reason}")
        complete.touch()
    return start


def _write_start(home: Home, packages: Unpacked, start: Path) -> None:
    """Write the script that runs the browser with its own libraries and fonts."""
    fonts = home.path / "fonts.conf"
    values = {"fonts": packages.root / "usr/share/fonts", "cache": home.path / "fonts.cache"}
    home.render("chromium-fonts.conf", fonts, values)
    program = packages.root / "usr/lib/chromium/chromium-headless-shell"
    lines = ["#!/bin/sh", f"export FONTCONFIG_FILE={shlex.quote(str(fonts))}"]
    if libraries := packages.library_path():
        lines.append(f"export LD_LIBRARY_PATH={shlex.quote(libraries)}")
    lines += [f'exec {shlex.quote(str(program))} "$@"', ""]
    start.write_text("\n".join(lines), encoding="utf-8")
    start.chmod(0o755)


def _fetch(options: Options) -> Outcome:
    if not options.fetch and (found := _installed()) is not None:
        if (reason := fault(found)) is None:
            return _outcome(found)
        say("chromium", f"{found} does not show a page: {reason}")
    home = Home("chromium", options.instance)
    home.make(accounts.caller())
    return _outcome(unpacked(home, options.timeout))


def _outcome(program: Path) -> Outcome:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip()
    return Outcome(ok=True, line=str(program), data={"path": str(program), "version": version})


def _status(options: Options) -> Outcome:
    home = Home("chromium", options.instance)
    fetched = home.path / "chromium" if (home.path / "debian.complete").exists() else None
    found = fetched or _installed()
    if found is None:
        line = "no Chromium with a Chinese font here: `deploy/chromium fetch` brings one"
        return Outcome(ok=False, line=line, data={"path": None})
    if (reason := fault(found)) is not None:
        line = f"{found} does not show a page: {reason}"
        return Outcome(ok=False, line=line, data={"path": str(found), "error": reason})
    return _outcome(found)


def _wipe(options: Options) -> Outcome:
    home = Home("chromium", options.instance)
    if not home.path.exists():
        return Outcome(ok=True, line="nothing was fetched")
    with home.lock(options.timeout, "fetch.lock"):
        home.wipe("debian", "debian.*", "chromium", "fonts.*")
    return Outcome(ok=True, line="removed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    about = "A headless Chromium that can show Chinese, under build/chromium if none is installed."
    command = cli.Command("chromium", about, _EXAMPLE)
    about = "fetch it if it is missing and print the path of its executable"
    fetch = command.verb("fetch", about, _fetch, "deploy/chromium fetch --json")
    fetch.add_argument(
        "--fetch", action="store_true", help="use Debian's packages even if one is installed"
    )
    about = "exit code 0 when there is one that shows a page, 1 when not"
    command.verb("status", about, _status, "deploy/chromium status --json")
    command.verb("wipe", "remove what was fetched", _wipe, "deploy/chromium wipe")
    return command.main(arguments)
