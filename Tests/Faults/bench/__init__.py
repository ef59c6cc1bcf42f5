"""What the fault tests are made of: load, faults, logs, and the checker over the logs."""
