"""The engine on the wall clock: named duties on an injected clock.

firing: what is due. auditing: what firing missed. delivering: what fired goes out to people. In
replay only delivering runs; marks drive the same `fire_due` (docs/semantics.md 2).
"""
