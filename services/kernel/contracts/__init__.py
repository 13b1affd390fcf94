"""What services say to each other: envelope, topics, payloads.

Additive only; old golden files decode for ever.
"""
