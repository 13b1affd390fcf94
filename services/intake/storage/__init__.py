"""Intake's own database: ledger, names, kept items, counts, outbox."""

from services.intake.storage.store import SqlStore
from services.intake.storage.tables import TABLES

__all__ = ["TABLES", "SqlStore"]
