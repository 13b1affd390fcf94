"""Facts, rules, model and time become a level, with reasons.

Owns every fact as a row, the fold state rebuilt from them, the active pack and model.
Consumes intake.change.v1, its only input.
Produces risk.assessment.v1 with passed facts and marks, and its HTTP API (why).
Never talks to people, never reads a second input.
"""
