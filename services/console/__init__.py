"""Pages for people: the queue, the case, the report desk, the visits of a worker.

Owns sessions and screens, no facts.
Consumes the HTTP APIs of the other services and, for live pages, the alert topics.
Produces pages; what a visit found goes in at intake's door.
Never touches another service's tables.
"""
