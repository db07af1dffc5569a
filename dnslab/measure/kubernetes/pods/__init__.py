"""One pod: its manifest, its life, what is in it, and how the probe gets there."""
