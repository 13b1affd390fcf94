"""The one door for facts: checks, stamps, de-duplicates, resolves and publishes every change.

Owns the ledger of everything accepted or rejected, and who is who (identities and ties).
Consumes HTTP, files, feeds and Kafka sources of other systems.
Produces intake.change.v1 with marks, in order per household; intake.change.v1.dlq.
Never decides risk.
"""
