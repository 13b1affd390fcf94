"""The error verbs of the whole system, and the one shape in which a fault is told to a person."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one thing: where, what was found, what was expected, what to do.

    `found` never holds personal data: give the shape of the value (its type, its length, a number
    out of range), not a name, number or text that somebody typed about a person.
    """

    where: str
    expected: str
    found: str
    remedy: str
    code: str = "invalid"

    def sentence(self) -> str:
        """Return the fault as one sentence for logs and terminals."""
        return f"{self.where}: found {self.found}, expected {self.expected}; {self.remedy}"


class HearthwatchError(Exception):
    """Root of all errors of this project."""


class InvalidMessage(HearthwatchError):
    """The message can never be handled: dead letter, no retry. Carries its fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence())
        self.fault = fault


class Retryable(HearthwatchError):
    """Infrastructure is out of reach: pause, back off, not ready; never a dead letter."""


class Stale(HearthwatchError):
    """Somebody else moved the stored position: roll back, drop cached state, read it again."""


class Refused(HearthwatchError):
    """A command that can be understood but not carried out now; carries status and fault."""

    def __init__(self, fault: Fault, status: int = 409) -> None:
        super().__init__(fault.sentence())
        self.fault = fault
        self.status = status


class WrongUse(HearthwatchError):
    """A setting, option or file the operator gave is unusable; the process exits with 2."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence())
        self.fault = fault


class Faults(HearthwatchError):
    """Several faults found in one document (a pack, a map); each with its place."""

    def __init__(self, what: str, faults: list[Fault]) -> None:
        super().__init__(
            f"{what}: {len(faults)} fault(s)\n" + "\n".join(f.sentence() for f in faults)
        )
        self.what = what
        self.faults = faults
