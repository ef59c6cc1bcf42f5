"""Faults under load: real processes, every message numbered, one checker that compares what was sent with what was shown."""
