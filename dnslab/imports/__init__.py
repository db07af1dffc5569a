"""What other tools measured."""
