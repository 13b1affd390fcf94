"""Takes in registry's compacted topics: areas of households, and who is on duty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from services.kernel.bus.worker import TOMBSTONE, Batch
from services.kernel.contracts.registry import (
    DUTY_CHANGED,
    HOUSEHOLD_CHANGED,
    DutyCard,
    HouseholdCard,
)
from services.kernel.errors import Fault, InvalidMessage

Card = TypeVar("Card", HouseholdCard, DutyCard)
Put = Callable[[Connection, str, int, int, Mapping[str, Card | None]], None]


class Cards(Generic[Card]):
    """The handler of one compacted topic: the newest card of each key is kept."""

    def __init__(self, type_: str, card: type[Card], put: Put[Card]) -> None:
        self._type = type_
        self._decoder: msgspec.json.Decoder[Card] = msgspec.json.Decoder(card)
        self._put: Put[Card] = put

    def handle(self, conn: Connection, batch: Batch) -> None:
        """Write the effect of a batch; see the worker's `Handler`."""
        cards: dict[str, Card | None] = {}
        for record, envelope in batch.messages:
            key = record.key or envelope.partitionkey
            if envelope.type == TOMBSTONE:
                cards[key] = None
            elif envelope.type == self._type:
                try:
                    cards[key] = self._decoder.decode(envelope.data)
                except msgspec.MsgspecError as exc:
                    raise InvalidMessage(_fault(envelope.id, self._type, str(exc))) from exc
        if batch.messages:
            offset = batch.messages[-1].record.offset + 1
            self._put(conn, batch.topic, batch.partition, offset, cards)

    def forget(self, partition: int) -> None:
        """Nothing is cached between batches."""


def household_cards(put: Put[HouseholdCard]) -> Cards[HouseholdCard]:
    """Return the handler of `registry.household.v1`."""
    return Cards(HOUSEHOLD_CHANGED, HouseholdCard, put)


def duty_cards(put: Put[DutyCard]) -> Cards[DutyCard]:
    """Return the handler of `registry.duty.v1`."""
    return Cards(DUTY_CHANGED, DutyCard, put)


_REMEDY: Final = "have registry publish the card again"


def _fault(id_: str, type_: str, found: str) -> Fault:
    return Fault(f"message {id_} of type {type_}", "a card of registry", found, _REMEDY)
