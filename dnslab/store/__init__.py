"""The run on disk: the only thing that measuring and reading share."""
