"""Owns which settings are taken: DJANGO_SETTINGS_MODULE of the environment, else of `.env`, else the caller's."""

import os
from pathlib import Path

import environ

DOTENV = Path(__file__).resolve().parent.parent.parent / ".env"


def choose_settings(default: str) -> None:
    """Set DJANGO_SETTINGS_MODULE, to be called before Django looks at it. An empty one is none."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    environ.Env.read_env(DOTENV)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"gateway_project.settings.{default}")
