"""Pure rules of the door: what an item must look like, whose it is, which clock it starts.

No I/O, no clock, no randomness; everything here is a function of its arguments.
"""
