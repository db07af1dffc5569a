"""Pictures: a frame or a summary in, a figure out. Each has a text that states its main number."""
