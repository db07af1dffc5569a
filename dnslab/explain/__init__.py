"""What the numbers mean: verdicts, findings and tables in words."""
