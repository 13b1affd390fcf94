"""`deploy/prometheus`: Prometheus, with the project's targets or the caller's settings."""

import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import account as accounts
from . import cli, ports
from . import process as processes
from .account import Account
from .cli import Options, Outcome, say
from .debian import Unpacked
from .errors import DeployError
from .home import Home
from .process import Process
from .waiting import require

_STOP_GRACE_S = 20
_EXAMPLE = """\
  deploy/prometheus up                            # prints http://127.0.0.1:PORT
  deploy/prometheus up --config prometheus.yml    # with targets and rules of your own
  deploy/prometheus status --json
  deploy/prometheus down --wipe                   # stop, and remove what was measured"""

# Whatever proxy the environment names, it is not for loopback.
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class _Prometheus:
    """The server on this machine: its home and what is remembered of it."""

    home: Home
    state: dict[str, Any]

    @property
    def log(self) -> Path:
        return self.home.path / "prometheus.log"

    @property
    def pid_file(self) -> Path:
        return self.home.path / "prometheus.pid"

    @property
    def targets(self) -> Path:
        return self.home.path / "targets"

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.state['port']}"

    def process(self) -> Process | None:
        return processes.find(self.pid_file)

    def unanswered(self) -> str | None:
        """Return why the server is not ready, or None."""
        try:
            with _LOCAL.open(f"{self.url}/-/ready", timeout=5):
                return None
        except urllib.error.HTTPError as exc:
            return f"{self.url}/-/ready answers {exc.code}"
        except OSError as exc:
            return f"{self.url}/-/ready: {exc}"

    def missing(self) -> str | None:
        """Return why the server is not ready; raise DeployError when its process has ended."""
        if self.process() is None:
            raise DeployError(f"Prometheus ended while starting{processes.tail(self.log)}")
        return self.unanswered()

    def outcome(self) -> Outcome:
        process = self.process()
        if process is None:
            return Outcome(
                ok=False,
                line="not running",
                data={"running": False, "directory": str(self.home.path)},
            )
        reason = self.unanswered()
        data: dict[str, Any] = {"running": reason is None, "address": self.url, "pid": process.pid}
        data |= {"config": self.state["config"], "targets": str(self.targets), "log": str(self.log)}
        data["directory"] = str(self.home.path)
        if reason is not None:
            return Outcome(ok=False, line=f"not answering: {reason}", data=data | {"error": reason})
        return Outcome(ok=True, line=self.url, data=data)


def _open(options: Options) -> _Prometheus:
    home = Home("prometheus", options.instance)
    return _Prometheus(home, home.load())


def _up(options: Options) -> Outcome:
    account = accounts.unprivileged()
    home = Home("prometheus", options.instance)
    home.make(account)
    with home.lock(options.timeout):
        prometheus = _Prometheus(home, home.load())
        if prometheus.process() is None:
            _settle(prometheus, options)
            _start(prometheus, account, options)
        else:
            _require_same(prometheus, options)
            require(prometheus.missing, options.timeout, "Prometheus was to answer")
        return prometheus.outcome()


def _require_same(prometheus: _Prometheus, options: Options) -> None:
    """Refuse an `up` that asks for something else than what runs."""
    config = prometheus.state["config"]
    if options.config is not None and str(options.config.resolve()) != config:
        raise DeployError(f"already running with {config}: `deploy/prometheus down` first")
    if options.port not in (None, prometheus.state["port"]):
        raise DeployError(f"already running on {prometheus.url}: `deploy/prometheus down` first")


def _settle(prometheus: _Prometheus, options: Options) -> None:
    """Settle port and configuration, and remember them."""
    prometheus.state["port"] = ports.settle(prometheus.state.get("port"), options.port)
    prometheus.targets.mkdir(exist_ok=True)
    if options.config is not None:
        if not options.config.is_file():
            raise DeployError(f"--config {options.config}: no such file")
        config = options.config.resolve()
    else:
        config = prometheus.home.path / "prometheus.yml"
        values = {"port": prometheus.state["port"], "targets_dir": prometheus.targets}
        prometheus.home.render("prometheus.yml", config, values)
    prometheus.state["config"] = str(config)
    prometheus.home.save(prometheus.state)


def _start(prometheus: _Prometheus, account: Account, options: Options) -> None:
    program, checker = _programs(account, options)
    config = Path(prometheus.state["config"])
    _check(checker, config)
    if not account.can_read(config):  # unlike PostgreSQL it does not mind root
        say("prometheus", f"user {account.name} cannot read {config}: running as the caller")
        account = accounts.caller()
    data = prometheus.home.folder("data", account)
    command: list[str | Path] = [program, f"--config.file={config}", f"--storage.tsdb.path={data}"]
    command += [
        f"--web.listen-address={ports.LOOPBACK}:{prometheus.state['port']}",
        "--log.level=warn",
    ]
    say("prometheus", "starting the server")
    try:
        processes.start(
            command,
            account=account,
            environment=accounts.server_environment(prometheus.home.path),
            log=prometheus.log,
            pid_file=prometheus.pid_file,
        )
        require(prometheus.missing, options.timeout, "Prometheus was to answer")
    except BaseException:  # also Ctrl-C: nothing half-started stays behind
        _stop(prometheus)
        raise


def _programs(account: Account, options: Options) -> tuple[Path, Path]:
    """Return `prometheus` and `promtool`: this machine's, else Debian's, fetched if missing."""
    found = [None if options.fetch else shutil.which(name) for name in ("prometheus", "promtool")]
    if found[0] is not None and found[1] is not None:
        return Path(found[0]), Path(found[1])
    store = Home("prometheus")
    packages = Unpacked("prometheus", store.make(account) / "debian", store.build)
    complete = store.path / "debian.complete"
    with store.lock(options.timeout, "fetch.lock"):
        if not complete.exists():
            shutil.rmtree(packages.root, ignore_errors=True)
            packages.fetch("prometheus", "prometheus")
            packages.require_whole()
            complete.touch()
    return packages.root / "usr/bin/prometheus", packages.root / "usr/bin/promtool"


def _check(checker: Path, config: Path) -> None:
    answer = subprocess.run(
        [checker, "check", "config", config], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise DeployError(f"Prometheus would not take {config}:\n{answer.stdout}{answer.stderr}")


def _stop(prometheus: _Prometheus) -> None:
    process = prometheus.process()
    if process is not None and processes.stop([process], signal.SIGTERM, _STOP_GRACE_S):
        say("prometheus", f"did not stop in {_STOP_GRACE_S} s and was killed")


def _down(options: Options) -> Outcome:
    prometheus = _open(options)
    if not prometheus.home.path.exists():
        return Outcome(ok=True, line="not running", data={"running": False})
    with prometheus.home.lock(options.timeout):
        _stop(prometheus)
        if options.wipe:
            prometheus.home.wipe("data", "targets", "prometheus.*")
    return Outcome(ok=True, line="stopped", data={"running": False})


def _status(options: Options) -> Outcome:
    return _open(options).outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    about = "Prometheus on loopback, under build/prometheus."
    command = cli.Command("prometheus", about, _EXAMPLE)
    up = command.verb(
        "up", "start it and print its URL", _up, "deploy/prometheus up --config prometheus.yml"
    )
    up.add_argument(
        "--config",
        type=Path,
        metavar="F",
        help="configuration (default: targets from build/prometheus)",
    )
    up.add_argument(
        "--port",
        type=cli.port,
        metavar="P",
        help="port to listen on (default: as it was, else a free one)",
    )
    up.add_argument(
        "--fetch", action="store_true", help="use Debian's package even if Prometheus is installed"
    )
    down = command.verb("down", "stop it", _down, "deploy/prometheus down --wipe")
    down.add_argument("--wipe", action="store_true", help="remove what it measured too")
    command.verb(
        "status",
        "exit code 0 when it answers, 1 when not",
        _status,
        "deploy/prometheus status --json",
    )
    return command.main(arguments)
