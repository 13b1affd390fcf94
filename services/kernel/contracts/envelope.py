"""The envelope of every message: CloudEvents 1.0 in structured JSON (ADR-0004)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.kernel.clock import from_us, to_us
from services.kernel.errors import Fault, InvalidMessage

CONTENT_TYPE: Final = b"application/cloudevents+json"
HEADERS: Final = (("content-type", CONTENT_TYPE),)

Precision = Literal["instant", "day", "month"]
Confidence = Literal["confirmed", "reported", "suspected", "device"]
LegalBasis = Literal["consent", "statutory_duty", "emergency", "contract", "public_info"]
Confidentiality = Literal["S1", "S2", "S3", "S4"]
_EMPTY: Final = msgspec.Raw(b"{}")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. Times are aware datetimes; `data` is the payload, still encoded.

    time: when it happened (occurred_at). receivedat: when the door took it, stamped by intake
    alone; for derived messages the processing time that produced them. clockat: when our own phone
    or device saw it (skew-corrected), else receivedat: the start of a life clock. subject: a
    person, household or place id; it equals partitionkey when the matter is the household's own.
    tie: set on the copy for a household that is only tied to the person (parent, supporter ...).
    """

    specversion: str = "1.0"
    id: str
    type: str
    source: str
    time: datetime
    subject: str
    partitionkey: str
    receivedat: datetime
    clockat: datetime | None = None
    observedat: datetime | None = None
    sourceid: str | None = None
    precision: Precision = "instant"
    confidence: Confidence = "reported"
    legalbasis: LegalBasis = "statutory_duty"
    confidentiality: Confidentiality = "S2"
    supersedes: str | None = None
    retracts: str | None = None
    copyof: str | None = None
    tie: str | None = None
    traceparent: str | None = None
    data: msgspec.Raw = _EMPTY

    def occurred_us(self) -> int:
        """Return when it happened, in microseconds since 1970."""
        return to_us(self.time)

    def received_us(self) -> int:
        """Return when the door took it, in microseconds since 1970."""
        return to_us(self.receivedat)

    def clock_us(self) -> int:
        """Return where a life clock started by this message starts, in microseconds since 1970."""
        return to_us(self.clockat or self.receivedat)


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()


def encode(envelope: Envelope) -> bytes:
    """Return the structured JSON form."""
    return _encoder.encode(envelope)


def decode(value: bytes | None) -> Envelope:
    """Return the envelope of a record's value.

    Raises:
        InvalidMessage: no value, not JSON, or a field missing or of the wrong type.
    """
    if value is None:
        raise InvalidMessage(_fault("a tombstone"))
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidMessage(_fault(str(exc))) from exc


def raw(payload: Any) -> msgspec.Raw:  # noqa: ANN401 - any JSON-able payload
    """Return a payload encoded for `Envelope.data`."""
    return msgspec.Raw(_encoder.encode(payload))


def moment(instant: int) -> datetime:
    """Return the aware datetime that an envelope carries for an instant in microseconds."""
    return from_us(instant)


def _fault(found: str) -> Fault:
    return Fault(
        where="message",
        found=found,
        expected="a CloudEvents 1.0 JSON envelope",
        remedy="fix the bytes with `hearthwatch dlq fix` and send them again with `dlq replay`",
        code="unreadable",
    )
