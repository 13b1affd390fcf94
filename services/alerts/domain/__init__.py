"""The pure heart of alerts: ladder, alert, timeline. No clock, no I/O; decisions take `now`."""
