"""Pictures, pages and files to share."""
