"""The live page: how the gateway stands, for people, out of the database alone."""
