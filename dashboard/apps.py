"""Owns that Django knows this app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """The live page."""

    name = "dashboard"
