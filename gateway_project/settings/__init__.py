"""Choose the settings module: DJANGO_SETTINGS_MODULE in the environment, or in `.env`, or the caller's default."""

import os
from pathlib import Path

import environ

DOTENV = Path(__file__).resolve().parent.parent.parent / ".env"


def choose_settings(default: str) -> None:
    """Set DJANGO_SETTINGS_MODULE; call this before Django reads it. An empty value counts as unset."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    environ.Env.read_env(DOTENV)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"gateway_project.settings.{default}")
