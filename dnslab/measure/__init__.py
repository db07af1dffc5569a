"""How a plan is carried out: backends, the probe, the conversation with it. Reads no result."""
