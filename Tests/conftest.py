"""What every test folder has: harness/fixtures.py."""

pytest_plugins = ["harness.fixtures"]
