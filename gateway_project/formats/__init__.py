"""Formats of dates and times on pages, by language."""
