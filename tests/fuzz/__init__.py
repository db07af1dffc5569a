"""Fuzzers: damaged and hostile input for all that dnslab reads from others. `python -m tests.fuzz --help`."""
