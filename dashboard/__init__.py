"""Show people and monitoring the gateway's state, read from the database alone."""
