"""Revisions of risk's tables."""
