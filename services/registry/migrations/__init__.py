"""Revisions of registry's tables."""
