"""Settle which DNS resolver configuration stalls, how often and why."""
