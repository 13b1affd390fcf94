"""Replay: any log through the whole pipeline under a virtual clock; it can page nobody."""
