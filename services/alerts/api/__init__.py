"""The HTTP API of alerts: parse, call a handler or a view, answer."""

from services.alerts.api.acting import acting_routes
from services.alerts.api.base import Api
from services.alerts.api.reading import reading_routes

__all__ = ["Api", "acting_routes", "reading_routes"]
