"""A node-local DNS cache: whether there is one, and how to put one there."""
