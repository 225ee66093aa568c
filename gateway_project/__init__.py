"""Hold the settings, the URLs, and the table that maps action types to their handlers."""
