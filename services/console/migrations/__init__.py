"""The console's tables, revision by revision."""
