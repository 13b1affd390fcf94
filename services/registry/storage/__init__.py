"""Registry's own database: facts, entries, the log of who looked."""

from services.registry.storage.store import SqlStore
from services.registry.storage.tables import TABLES

__all__ = ["TABLES", "SqlStore"]
