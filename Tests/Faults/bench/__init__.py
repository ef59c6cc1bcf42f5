"""The parts of the fault tests: load, faults, logs, and the checker of the logs."""
