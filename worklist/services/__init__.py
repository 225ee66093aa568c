"""Use cases, one a file: the actions of Manage's, and what staff do in the admin."""
