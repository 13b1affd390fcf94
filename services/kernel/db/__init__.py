"""One database per service: engine, column types, fast writes, outbox, positions, migrations.

A service's state, its outbox rows and its consumer's position change in one transaction.
"""
