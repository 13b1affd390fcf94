"""Shared ground of all services: clock, errors, contracts, bus, database, metrics, HTTP, runtime.

Owns no business words beyond the contracts. Consumes nothing, produces nothing by itself.
"""
