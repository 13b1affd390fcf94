"""The revisions of the tables of alerts."""
