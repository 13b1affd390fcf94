"""Packs as files: read, checked with places, tested by their own examples."""
