"""The use cases, one in each file: what Manage's actions do, and what staff do in the admin."""
