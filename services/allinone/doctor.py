"""The doctor: what one service says it gave, compared with what the next says it took, by id.

Sets of ids are compared, never counts: two mistakes cannot cancel each other out. Beside that every
service audits its own rows; a row that was altered or deleted is named by its id.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from services.allinone.apis import Apis
from services.kernel.clock import Monotonic
from services.kernel.errors import Refused

AUDITED: Final = ("intake", "registry", "risk", "alerts")
PATIENCE_S: Final = 5.0
_AGAIN_S: Final = 0.5
_NAMED: Final = 200
"""Findings of one kind told one by one; the rest is summed up in a last one."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: in which service and table, which row, and how."""

    service: str
    table: str
    id: str
    problem: str


class Diagnosis(msgspec.Struct, kw_only=True):
    """What the doctor found. Counts are of change ids.

    accepted: published by intake. assessed: of those, committed by risk. accounted: assessed or
    dead-lettered. difference: accepted and not accounted for, and the other way round.
    """

    accepted: int
    assessed: int
    accounted: int
    difference: int
    lost: list[str]
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.difference and not self.findings

    def as_json(self) -> dict[str, Any]:
        """Return the answer of `doctor --json`."""
        return {
            "ok": self.ok,
            "accepted": self.accepted,
            "assessed": self.assessed,
            "accounted": self.accounted,
            "difference": self.difference,
            "findings": [msgspec.to_builtins(finding) for finding in self.findings],
        }


def examine(apis: Apis, services: Iterable[str] = AUDITED) -> Diagnosis:
    """Compare what the services have; read-only. Cost: every id and every row is read once.

    A service whose store is too broken to be read is a finding too, and hides no other one.
    """
    look = _Look(apis)
    published = look.ids("intake", "/v1/ids", kind="published")
    committed = look.ids("risk", "/v1/ids", kind="committed")
    letters = look.items("dead", "/v1/letters")
    buried = {letter["change"] for letter in letters if letter["change"]}
    lost = sorted(published - committed - buried)
    unknown = sorted(committed - published)
    findings = [
        *_told("risk", "inbox", lost, "accepted by intake, never assessed nor dead-lettered"),
        *_told("intake", "ledger", unknown, "assessed by risk, unknown to intake's ledger"),
        *_facts(look, buried | set(lost)),
        *_between_risk_and_alerts(look, buried),
        *_deliveries(look),
        *(finding for service in services for finding in _audit(look, service)),
    ]
    return Diagnosis(
        accepted=len(published),
        assessed=len(published & committed),
        accounted=len(published & (committed | buried)),
        difference=len(lost) + len(unknown),
        lost=lost,
        findings=[*findings, *look.unreadable],
    )


class _Look:
    """Asks the services; notes what they could not answer."""

    def __init__(self, apis: Apis) -> None:
        self.unreadable: list[Finding] = []
        self._apis = apis

    def items(self, service: str, path: str, **query: str) -> list[Any]:
        """Return the items of a list; none of what could not be read."""
        return self._tried(service, path, lambda: list(self._apis.items(service, path, **query)))

    def ids(self, service: str, path: str, **query: str) -> set[str]:
        """Return the ids of a list."""
        return set(self.items(service, path, **query))

    def findings(self, service: str) -> list[dict[str, Any]]:
        """Return what a service's own audit found."""
        path = "/v1/audit"
        return self._tried(service, path, lambda: self._apis.get(service, path)["findings"])

    def _tried(self, service: str, path: str, ask: Callable[[], list[Any]]) -> list[Any]:
        try:
            return ask()
        except Refused as exc:
            problem = f"cannot be read: {exc.fault.sentence()}"
            self.unreadable.append(Finding(service, "store", path, problem))
            return []


def settle(apis: Apis, monotonic: Monotonic, timeout_s: float = PATIENCE_S) -> Diagnosis:
    """Examine a running process until nothing is wrong or time is over.

    What was accepted a moment ago is under way, not lost; what is still missing after a while is.
    """
    until_s = monotonic.seconds() + timeout_s
    never = threading.Event()
    while True:
        found = examine(apis)
        if found.ok or monotonic.seconds() >= until_s:
            return found
        monotonic.wait(never, _AGAIN_S)


def repair(apis: Apis, lost: list[str]) -> int:
    """Have intake publish again what was accepted and never assessed; return how many."""
    if not lost:
        return 0
    found: int = apis.send("POST", "intake", "/v1/republish", {"ids": lost})["published"]
    return found


def _facts(look: _Look, gone: set[str]) -> list[Finding]:
    """Compare the facts that intake took with those that risk keeps for a rebuild."""
    parked = look.ids("intake", "/v1/ids", kind="parked")
    taken = look.ids("intake", "/v1/ids", kind="accepted") - parked - gone
    missing = sorted(taken - look.ids("risk", "/v1/ids", kind="facts"))
    return _told("risk", "fact", missing, "is missing: intake took it and risk assessed it")


def _between_risk_and_alerts(look: _Look, buried: set[str]) -> list[Finding]:
    given = look.ids("risk", "/v1/ids", kind="assessments")
    taken = look.ids("alerts", "/v1/ids", kind="consumed")
    alerts = look.items("alerts", "/v1/alerts", state="all")
    without = look.ids("risk", "/v1/ids", kind="red") - {_key(alert) for alert in alerts}
    if without:  # or it was opened under a name that has become another since
        there = {alert["id"] for alert in alerts}
        without -= {
            f"{line['subject']}|{line['rule']}"
            for line in look.items("alerts", "/v1/timeline")
            if line["step"] == "opened" and line["alert"] in there
        }
    return [
        *_told("alerts", "inbox", sorted(given - taken - buried), "published by risk, never taken"),
        *_told("alerts", "alert", sorted(without), "red in risk, and no alert was opened"),
    ]


def _key(alert: dict[str, Any]) -> str:
    instance = alert.get("instance")
    return f"{alert['subject']}|{alert['rule']}" + (f"#{instance}" if instance else "")


def _deliveries(look: _Look) -> list[Finding]:
    rows = Counter(
        f"{row['alert']}/{row['step']}/{row['target']}"
        for row in look.items("alerts", "/v1/deliveries")
    )
    doubled = sorted(key for key, count in rows.items() if count > 1)
    return _told("alerts", "delivery", doubled, "more than one row for a step and target")


def _audit(look: _Look, service: str) -> list[Finding]:
    return [
        Finding(service, row["table"], str(row["id"]), row["problem"])
        for row in look.findings(service)
    ]


def _told(service: str, table: str, ids: list[str], problem: str) -> list[Finding]:
    found = [Finding(service, table, each, problem) for each in ids[:_NAMED]]
    if len(ids) > _NAMED:
        found.append(Finding(service, table, f"and {len(ids) - _NAMED} more", problem))
    return found
