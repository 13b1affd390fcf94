"""A level becomes work for people: warning, visit, handling, each with a deadline that escalates.

Owns alerts, tasks, deadlines, ladders, deliveries, outcomes and their timeline.
Consumes risk.assessment.v1, the compacted registry topics, and people's acts over HTTP.
Produces alerts.alert.v1, alerts.task.v1 and deliveries to people.
Never re-computes a level, never waits for anybody to escalate.
"""
