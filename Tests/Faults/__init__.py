"""Faults under load: real processes, every message numbered, one checker over what was sent and what was shown."""
