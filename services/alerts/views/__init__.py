"""Read-only answers of alerts: the queue, one alert, timeline and digest, reports, lists of ids."""
