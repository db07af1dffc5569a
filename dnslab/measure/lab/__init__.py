"""The lab: Linux network namespaces on this machine."""
