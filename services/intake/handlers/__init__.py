"""What the door does, one module per command; each runs in one unit of work."""
