"""The book of record: households, people, ties, grids, staff, rosters, resources and consent.

Owns the current picture of who lives where, who serves whom, and the who-looked log.
Consumes intake.change.v1.
Produces registry.household.v1 and registry.duty.v1 (compacted), and its HTTP API.
Never computes levels.
"""
