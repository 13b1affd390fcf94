"""`deploy/postgres`: one PostgreSQL server with the database `hearthwatch`, behind a password."""

from collections.abc import Sequence

from . import account as accounts
from . import cli, ports, postgres_programs
from .account import Account
from .cli import Options, Outcome, say
from .errors import DeployError
from .home import Home
from .postgres_server import Postgres
from .waiting import require

_EXAMPLE = """\
  deploy/postgres up            # prints postgresql://postgres:PASSWORD@127.0.0.1:PORT/hearthwatch
  deploy/postgres kill          # kill -9, for a fault test
  deploy/postgres start
  deploy/postgres status --json
  deploy/postgres down --wipe   # stop, and remove the data"""


def _open(options: Options) -> Postgres:
    home = Home("postgres", options.instance)
    return Postgres(home, home.load())


def _up(options: Options) -> Outcome:
    account = accounts.unprivileged()
    home = Home("postgres", options.instance)
    home.make(account)
    with home.lock(options.timeout):
        postgres = Postgres(home, home.load())
        if postgres.process() is not None:
            _require_port(postgres, options.port)
            require(postgres.missing, options.timeout, "PostgreSQL was to answer")
            return postgres.outcome()
        _choose_programs(postgres, account, options)
        postgres.state["port"] = ports.settle(postgres.state.get("port"), options.port)
        home.save(postgres.state)
        if not postgres.data.exists():
            postgres.initialise(account)
        postgres.start(account, options.timeout)
        return postgres.outcome()


def _require_port(postgres: Postgres, asked: int | None) -> None:
    port = postgres.state["port"]
    if asked not in (None, port):
        raise DeployError(
            f"already running on port {port}, asked for {asked}: `deploy/postgres down` first"
        )


def _choose_programs(postgres: Postgres, account: Account, options: Options) -> None:
    """Settle which installation runs, and remember it."""
    version = postgres.data / "PG_VERSION"
    major = int(version.read_text(encoding="ascii")) if version.exists() else None
    store = Home("postgres")
    store.make(account)
    with store.lock(options.timeout, "fetch.lock"):
        programs = postgres_programs.choose(store, account, major=major, fetch=options.fetch)
    say("postgres", f"version {programs.major} from {programs.folder}")
    postgres.state["programs"] = {
        "folder": str(programs.folder),
        "major": programs.major,
        "environment": dict(programs.environment),
    }


def _down(options: Options) -> Outcome:
    postgres = _open(options)
    if not postgres.home.path.exists():
        return Outcome(ok=True, line="not running", data={"running": False})
    with postgres.home.lock(options.timeout):
        postgres.stop()
        if options.wipe:
            postgres.home.wipe("data*", "password", "postgresql.conf", "pg_hba.conf", "postgres.*")
    return Outcome(ok=True, line="stopped", data={"running": False})


def _kill(options: Options) -> Outcome:
    postgres = _open(options)
    _require_data(postgres)
    with postgres.home.lock(options.timeout):
        process = postgres.kill()
    line = f"killed process {process.pid} and its workers"
    return Outcome(ok=True, line=line, data={"running": False, "pid": process.pid})


def _start(options: Options) -> Outcome:
    postgres = _open(options)
    _require_data(postgres)
    with postgres.home.lock(options.timeout):
        if postgres.process() is None:
            postgres.start(accounts.unprivileged(), options.timeout)
    return postgres.outcome()


def _require_data(postgres: Postgres) -> None:
    if not postgres.state or not (postgres.data / "PG_VERSION").exists():
        raise DeployError("there is no data yet: `deploy/postgres up` makes it")


def _status(options: Options) -> Outcome:
    return _open(options).outcome()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    about = "PostgreSQL on loopback with a database `hearthwatch`, under build/postgres."
    command = cli.Command("postgres", about, _EXAMPLE)
    up = command.verb("up", "start it, print its DSN", _up, "deploy/postgres up --json")
    up.add_argument("--port", type=cli.port, metavar="P", help="port (default: as it was, or free)")
    up.add_argument("--fetch", action="store_true", help="Debian's packages even if one is here")
    down = command.verb("down", "stop it", _down, "deploy/postgres down --wipe")
    down.add_argument("--wipe", action="store_true", help="remove its data and password too")
    about = "exit code 0 when it answers, 1 when not"
    command.verb("status", about, _status, "deploy/postgres status --json")
    command.verb("kill", "kill -9 the server and its workers", _kill, "deploy/postgres kill")
    command.verb("start", "start it again after kill or down", _start, "deploy/postgres start")
    return command.main(arguments)
