"""The API server: a client, exec streams, objects and their names."""
