"""What takes both measuring and explaining, one module for each question."""
