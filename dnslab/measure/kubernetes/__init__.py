"""Pods of a cluster as targets."""
