"""The deployed form on this machine: which processes, which settings, when all is through."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.allinone.apis import Apis
from services.allinone.processes import Program
from services.kernel.bus.lag import Lag, lag_of
from services.kernel.bus.port import Bus
from services.kernel.clock import Monotonic
from services.kernel.contracts.topics import ASSESSMENTS, CHANGES
from services.kernel.db import roles
from services.kernel.errors import Fault, Refused, Retryable, WrongUse
from services.kernel.protect import NEEDED_BY, ensure_text
from services.kernel.runtime import App
from services.kernel.settings import Settings, ensure_token

MODULES: Final[Mapping[str, str]] = {
    "intake": "services.intake",
    "registry": "services.registry",
    "risk": "services.risk",
    "alerts": "services.alerts",
    "dead": "services.allinone.dead",
}
"""In the order in which a change passes them."""
LIVE: Final[Mapping[str, str]] = {**MODULES, "console": "services.console"}
"""What a live installation runs: a replay has nobody to show pages to."""
READERS: Final = (
    ("registry", CHANGES.name),
    ("risk", CHANGES.name),
    ("alerts", ASSESSMENTS.name),
)
"""Groups and what they read."""
DATABASES: Final = "databases"
"""Folder in the data folder with each service's own database address."""
KEYRING: Final = "HEARTHWATCH_KEYRING"
STILL_S: Final = 120.0
"""Nothing moved for so long although something waits: it will not move by itself."""
_LOOK_S: Final = 0.2
_UNSENT: Final = re.compile(
    r"^hearthwatch_outbox_unsent_records\{service=\"(\w+)\"\} (\S+)$", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Environment that all processes share, and what is each one's own.

    own: by service. keyring: text, for those that need it. ports: of each process; further risk
    workers are risk2, risk3, ... crash: a crash point for the first start of a process.
    """

    common: Mapping[str, str]
    own: Mapping[str, Mapping[str, str]]
    ports: Mapping[str, int]
    keyring: str
    crash: Mapping[str, str] = field(default_factory=dict)


def names(risk_workers: int = 1) -> list[str]:
    """Return the names of the processes."""
    found = []
    for name in MODULES:
        found.append(name)
        if name == "risk":
            found += [f"risk{n}" for n in range(2, risk_workers + 1)]
    return found


def programs(plan: Plan) -> list[Program]:
    """Return the processes of a plan; each knows the addresses of all services."""
    urls = {
        f"HEARTHWATCH_{name.upper()}_URL": f"http://127.0.0.1:{port}"
        for name, port in plan.ports.items()
        if name in LIVE and name != "dead"
    }
    found = []
    for name, port in plan.ports.items():
        service = name.rstrip("0123456789")
        environ = {
            **plan.common,
            **urls,
            "HEARTHWATCH_MODE": "deployed",
            "HEARTHWATCH_HTTP_PORT": str(port),
            **plan.own.get(service, {}),
        }
        if service in NEEDED_BY:
            environ[KEYRING] = plan.keyring
        once = {"HEARTHWATCH_CRASH": plan.crash[name]} if name in plan.crash else {}
        found.append(Program(name=name, module=LIVE[service], environ=environ, once=once))
    return found


def addresses(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the base addresses of the services' APIs."""
    return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


def unsent_of(apis: Apis, service: str) -> int:
    """Return how many records a service still has to publish, as its metrics say.

    Raises:
        Retryable: it cannot be reached, or says that it is not ready: then the figure may be old.
    """
    try:
        apis.text(service, "/readyz")
        found = dict(_UNSENT.findall(apis.text(service, "/metrics")))
    except Refused as exc:
        raise Retryable(f"{service} is not ready") from exc
    if service not in found:
        raise Retryable(f"{service} tells no outbox")
    return int(float(found[service]))


def unsent_in(app: App) -> Callable[[str], int]:
    """Return what tells how many records a service of this process still has to publish."""
    relays: dict[str, Any] = {s.name: s.relays[0] for s in app.services if s.relays}
    return lambda service: int(relays[service].unsent())


class Waiter:
    """Waits until everything that was taken has passed the chain, looking from outside."""

    def __init__(
        self,
        bus: Bus,
        unsent: Callable[[str], int],
        monotonic: Monotonic,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._unsent = unsent
        self._monotonic = monotonic
        self._check = check
        self.trouble = ""

    def wait(self, still_s: float = STILL_S) -> None:
        """Return when nothing waits anywhere.

        Raises:
            Retryable: nothing moved for `still_s` although something waits.
        """
        never = threading.Event()
        seen: object = None
        moved_s = self._monotonic.seconds()
        through = 0
        while through < 2:  # noqa: PLR2004 - the second look finds what a restart hid from the first
            self._check()
            try:
                state = self._look()
                through = through + 1 if not any(state) else 0
            except Retryable as exc:
                state, through, self.trouble = (-1,), 0, str(exc)
            if state != seen:
                seen, moved_s = state, self._monotonic.seconds()
            elif through == 0 and self._monotonic.seconds() - moved_s > still_s:
                raise Retryable(
                    f"nothing moved for {still_s:.0f} s: unsent and unread {state}; {self.trouble}"
                )
            self._monotonic.wait(never, _LOOK_S)

    def _look(self) -> tuple[int, ...]:
        """Return what waits, upstream first: what is empty stays so, for nothing comes in."""
        found = [self._unsent("intake")]
        found += [self._lag(*READERS[0]).waiting, self._lag(*READERS[1]).waiting]
        found += [self._unsent("risk"), self._lag(*READERS[2]).waiting]
        return tuple(found)

    def _lag(self, group: str, topic: str) -> Lag:
        return lag_of(self._bus, group, topic, age=False)


def ready(apis: Apis, services: Sequence[str]) -> str | None:
    """Return what is not ready yet, None when all are."""
    for service in services:
        try:
            apis.text(service, "/readyz")
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is not ready
            return f"{service}: {exc}"
    return None


def live(settings: Settings, environ: Mapping[str, str]) -> Plan:
    """Return the plan of `up --processes each`: our own environment, a port and a role for each.

    The services listen on the ports after the settings' own. On PostgreSQL each gets its schema and
    role; their addresses are kept in the data folder, so that another start changes no password.

    Raises:
        WrongUse: no Kafka is named. Retryable: PostgreSQL is out of reach.
    """
    if settings.bus_url == "sqlite":
        raise WrongUse(
            Fault(
                where="--processes each",
                expected="HEARTHWATCH_BUS_URL=kafka://host:port",
                found="the bus in SQLite, which is one process's",
                remedy="set it, or leave --processes out",
            )
        )
    url = settings.db_url.get_secret_value()
    out = settings.data_dir / DATABASES
    databases = roles.provision_into(url, out) if url.startswith("postgresql") else {}
    common = {
        **{k: v for k, v in environ.items() if not k.startswith(("HEARTHWATCH_DB_URL", KEYRING))},
        "HEARTHWATCH_DATA_DIR": str(settings.data_dir),
        "HEARTHWATCH_PACK": str(settings.pack),
        "HEARTHWATCH_TOKEN": ensure_token(settings),
    }
    return Plan(
        common=common,
        own={service: {"HEARTHWATCH_DB_URL": own} for service, own in databases.items()},
        ports={name: settings.http_port + n for n, name in enumerate(LIVE, 1)},
        keyring=ensure_text(settings),
    )
