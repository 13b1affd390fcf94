"""The pure core of risk: state, conditions, fold. No I/O, no clock, no randomness."""
