"""Work that both measures and explains, with one module for each question."""
