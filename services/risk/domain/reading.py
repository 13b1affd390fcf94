"""From envelopes to changes: decode only what the pack's rules read, refuse what contradicts it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from sys import intern
from typing import Any

import msgspec

from services.kernel.clock import to_us
from services.kernel.contracts import changes as c
from services.kernel.contracts import envelope as env
from services.kernel.errors import Fault, InvalidMessage
from services.risk.domain.calendar import Zone
from services.risk.domain.change import Change, Pass
from services.risk.domain.compiled import Compiled
from services.risk.domain.pack import FieldType
from services.risk.domain.state import TRUE, Fact

_JSON_TYPES: dict[str, Any] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "text": str,
    "enum": str,
    "date": dt.date,
    "time": dt.datetime,
    "list": list[Any],
}
_moved_out = msgspec.json.Decoder(c.MovedOut)
_moved_in = msgspec.json.Decoder(c.MovedIn)
_unreadable = msgspec.json.Decoder(c.Unreadable)


class Reader:
    """Reads envelopes for one compiled pack. Stateless after construction, thread-safe."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._values = {
            kind: self._values_reader(kind, tuple(sorted(positions)))
            for kind, positions in compiled.fields.items()
        }

    def change(self, envelope: env.Envelope) -> Change:
        """Return the change of an envelope.

        Raises:
            InvalidMessage: the payload contradicts the pack's event catalogue.
        """
        kind = envelope.type
        if kind in c.CONTROL and kind != c.RETRACTED:
            return self._control(envelope)
        read = self._values.get(kind)
        values = read(envelope.data) if read else ()
        return self._base(envelope)._replace(
            values=values,
            supersedes=envelope.supersedes,
            retracts=envelope.retracts,
            tie=envelope.tie,
            passes=self._passes(envelope, values) if kind in self._compiled.passes else (),
        )

    def _base(self, envelope: env.Envelope) -> Change:
        occurred, received = envelope.occurred_us(), envelope.received_us()
        clock = received if envelope.clockat is None else to_us(envelope.clockat)
        return Change(
            id=envelope.id,
            type=intern(envelope.type),  # a state's memory is looked up by it: one text for all
            subject=envelope.subject,
            household=envelope.partitionkey,
            occurred=received if occurred == received else occurred,  # one number for both
            received=received,
            clock=clock,
        )

    def _control(self, envelope: env.Envelope) -> Change:
        base = self._base(envelope)
        try:
            match envelope.type:
                case c.MOVED_OUT:
                    return base._replace(moved_out=_moved_out.decode(envelope.data))
                case c.MOVED_IN:
                    moved = _moved_in.decode(envelope.data)
                    past = tuple(self.change(env.decode(bytes(fact))) for fact in moved.facts)
                    return base._replace(moved_in=moved, history=past)
                case c.UNREADABLE:
                    return base._replace(unreadable=_unreadable.decode(envelope.data))
        except msgspec.MsgspecError as exc:
            raise _refusal(envelope.type, str(exc)) from exc
        return base

    def _passes(self, envelope: env.Envelope, values: tuple[Any, ...]) -> tuple[Pass, ...]:
        if envelope.tie is not None:
            return ()
        fact = Fact(envelope.occurred_us(), envelope.received_us(), envelope.id, 0, values)
        found = []
        for rule, keep, instance in self._compiled.passes[envelope.type]:
            if keep is None or keep(fact) == TRUE:
                value = instance(fact) if instance else None
                found.append(
                    Pass(rule.role, rule.rules, None if value is None else str(value), rule.outcome)
                )
        return tuple(found)

    def _values_reader(
        self, kind: str, names: tuple[str, ...]
    ) -> Callable[[msgspec.Raw], tuple[Any, ...]] | None:
        if not names:
            return None
        known = self._compiled.pack.events[kind].fields
        fields = [(name, _JSON_TYPES[known[name].kind] | None, None) for name in names]
        decoder = msgspec.json.Decoder(msgspec.defstruct("Payload", fields, rename=None))
        converters = [
            (n, _converter(known[name], self._compiled.pack.zone)) for n, name in enumerate(names)
        ]
        special = [(n, convert) for n, convert in converters if convert is not None]
        astuple = msgspec.structs.astuple

        def read(data: msgspec.Raw) -> tuple[Any, ...]:
            try:
                values = astuple(decoder.decode(data))
            except msgspec.MsgspecError as exc:
                raise _refusal(kind, str(exc)) from exc
            if not special:
                return values
            changed = list(values)
            for position, convert in special:
                if changed[position] is not None:
                    changed[position] = convert(changed[position])
            return tuple(changed)

        return read


def _converter(field: FieldType, zone: Zone) -> Callable[[Any], Any] | None:
    if field.kind == "date":
        return zone.end_of
    return to_us if field.kind == "time" else None


def _refusal(kind: str, found: str) -> InvalidMessage:
    return InvalidMessage(
        Fault(
            where=f"data of a {kind}",
            found=found,
            expected="the fields and types of the pack's event catalogue",
            remedy="correct it with `hearthwatch dlq fix` and send it again with `dlq replay`",
            code="payload",
        )
    )
