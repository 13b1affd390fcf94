"""Hearthwatch (守望): early warning for at-risk households, as services over a message bus."""
