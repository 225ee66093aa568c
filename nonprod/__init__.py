"""Emulate the relay, Manage and the machines, for tests and developers; never installed in production."""
