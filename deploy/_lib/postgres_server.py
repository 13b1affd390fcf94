"""One PostgreSQL server: its files, its process, its questions by psql."""

import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import account as accounts
from . import ports
from . import process as processes
from .account import Account
from .cli import Outcome, say
from .errors import DeployError
from .home import Home
from .postgres_programs import Programs
from .process import Process
from .waiting import require

SUPERUSER = "postgres"
DATABASE = "hearthwatch"
_STOP_GRACE_S = 30


@dataclass
class Postgres:
    """The server in `home`; `state` is what is remembered of it."""

    home: Home
    state: dict[str, Any]

    @property
    def data(self) -> Path:
        return self.home.path / "data"

    @property
    def log(self) -> Path:
        return self.home.path / "postgres.log"

    @property
    def pid_file(self) -> Path:
        return self.home.path / "postgres.pid"

    @property
    def password_file(self) -> Path:
        return self.home.path / "password"

    @property
    def programs(self) -> Programs:
        """The installation that was used last."""
        kept = self.state["programs"]
        return Programs(Path(kept["folder"]), kept["major"], kept["environment"])

    @property
    def environment(self) -> dict[str, str]:
        return accounts.server_environment(self.home.path, self.programs.environment)

    def process(self) -> Process | None:
        """Return the running server, or None."""
        return processes.find(self.pid_file)

    def password(self) -> str:
        """Return the superuser's password."""
        try:
            return self.password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError as exc:
            raise DeployError(
                f"{self.password_file} is gone: put it back, or `deploy/postgres down --wipe` and "
                "`up` for new, empty data"
            ) from exc

    def dsn(self) -> str:
        """Return the address with user and password, as clients take it."""
        place = f"{ports.LOOPBACK}:{self.state['port']}/{DATABASE}"
        return f"postgresql://{SUPERUSER}:{self.password()}@{place}"

    def query(self, statement: str, database: str) -> tuple[str, str | None]:
        """Run one statement by psql; return its output, and the last line of the error if any."""
        environment = self.environment | {
            "PGHOST": ports.LOOPBACK,
            "PGPORT": str(self.state["port"]),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password(),
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": "5",
        }
        answer = subprocess.run(
            [self.programs["psql"], "-XqAtw", "-v", "ON_ERROR_STOP=1", "-c", statement],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode == 0:
            return answer.stdout.strip(), None
        return "", (answer.stderr.strip().splitlines() or ["psql said nothing"])[-1]

    def missing(self, database: str = DATABASE) -> str | None:
        """Return why the server cannot be used; raise DeployError when its process has ended."""
        if self.process() is None:
            raise DeployError(f"PostgreSQL ended while starting{processes.tail(self.log)}")
        return self.query("select 1", database)[1]

    def outcome(self) -> Outcome:
        """Return what can be said of the server now."""
        process = self.process()
        data: dict[str, Any] = {"running": False, "directory": str(self.home.path)}
        if process is None:
            return Outcome(ok=False, line="not running", data=data)
        data |= {"address": self.dsn(), "pid": process.pid, "log": str(self.log)}
        data |= {"host": ports.LOOPBACK, "port": self.state["port"], "database": DATABASE}
        data |= {"user": SUPERUSER, "password": self.password()}
        data |= {"version": self.programs.major}
        reason = self.query("select 1", DATABASE)[1]
        if reason is not None:
            return Outcome(ok=False, line=f"not answering: {reason}", data=data | {"error": reason})
        return Outcome(ok=True, line=self.dsn(), data=data | {"running": True})

    def initialise(self, account: Account) -> None:
        """Make empty data whose only way in is a new password.

        Raises:
            DeployError: initdb failed; what it made does not count as data.
        """
        say("postgres", "initialising the data folder")
        self.home.wipe_files("data.part")  # what an interrupted attempt left
        fresh = self.home.folder("data.part", account)
        fresh.chmod(0o700)
        self.password_file.unlink(missing_ok=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        account.own(self.password_file)
        command = [str(self.programs["initdb"]), f"--pgdata={fresh}", f"--username={SUPERUSER}"]
        command += ["--auth=scram-sha-256", f"--pwfile={self.password_file}"]
        command += ["--encoding=UTF8", "--locale=C"]
        answer = subprocess.run(
            command,
            cwd=self.home.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **account.popen_options(),
        )
        if answer.returncode != 0:
            raise DeployError(f"initdb failed:\n{answer.stdout}")
        fresh.rename(self.data)  # so that data is either whole or not there

    def start(self, account: Account, timeout_s: float) -> None:
        """Start the server and wait until the database answers; stop it again if it does not."""
        home = self.home.path
        ports.require_free([self.state["port"]])
        self.home.render("pg_hba.conf", home / "pg_hba.conf", {})
        config = home / "postgresql.conf"
        values = {"data_dir": self.data, "hba_file": home / "pg_hba.conf"}
        self.home.render("postgresql.conf", config, values | {"port": self.state["port"]})
        self._clear_stale_lock()
        say("postgres", "starting the server")
        try:
            processes.start(
                [self.programs["postgres"], "-D", self.data, "-c", f"config_file={config}"],
                account=account,
                environment=self.environment,
                log=self.log,
                pid_file=self.pid_file,
            )
            require(lambda: self.missing(SUPERUSER), timeout_s, "PostgreSQL was to answer")
            self._make_database()
            require(self.missing, timeout_s, f"database {DATABASE} was to answer")
        except BaseException:  # also Ctrl-C: nothing half-started stays behind
            self.stop()
            raise

    def _clear_stale_lock(self) -> None:
        """Remove the lock file of a server of ours that was killed.

        PostgreSQL keeps its hands off while a process of that number exists, and a killed one that
        nobody has collected yet still does. We know better, by start time; but first the last
        worker must have let go of the data.
        """
        lock = self.data / "postmaster.pid"
        if not (lock.exists() and self.pid_file.exists()):
            return
        owner, ours = (_first_line(path) for path in (lock, self.pid_file))
        if owner != ours or processes.working_in(self.data) is None:
            return  # somebody else's: PostgreSQL will say so

        def held() -> str | None:
            return ", ".join(map(str, processes.working_in(self.data) or [])) or None

        require(held, 10, "the killed server's workers were to end")
        lock.unlink()

    def _make_database(self) -> None:
        known, failure = self.query("select datname from pg_database", SUPERUSER)
        if failure is None and DATABASE not in known.splitlines():
            failure = self.query(f"create database {DATABASE}", SUPERUSER)[1]
        if failure is not None:
            raise DeployError(f"database {DATABASE} could not be made: {failure}")

    def stop(self) -> None:
        """Stop the server if it runs; kill it when it has not ended in time."""
        process = self.process()
        if process is None:
            return
        # SIGTERM would wait until every client has gone; SIGINT ends their sessions first.
        if processes.stop([process], signal.SIGINT, _STOP_GRACE_S):
            say("postgres", f"did not stop in {_STOP_GRACE_S} s and was killed; it mends itself")

    def kill(self) -> Process:
        """SIGKILL the server and its workers, as in a power cut, and return what was killed.

        Workers left alone would go on for a moment and hold what the next start needs.
        """
        process = self.process()
        if process is None:
            raise DeployError("PostgreSQL is not running: nothing to kill")
        processes.kill([process, *processes.children(process)])
        return process


def _first_line(path: Path) -> str:
    return path.read_text(encoding="ascii").split("\n", 1)[0]
