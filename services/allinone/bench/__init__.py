"""Measurements against the bars, each beside a peer that was run at its side."""
