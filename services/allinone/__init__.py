"""All services in one process, and the command `hearthwatch`.

Owns the choice of deployment: embedded over SQLite, or a process per service.
Consumes command lines and settings.
Produces running services and reports.
Never holds logic of its own.
"""
