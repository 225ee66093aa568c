#!/usr/bin/env python
"""Runs every command of the gateway: `python manage.py help`.

Unless DJANGO_SETTINGS_MODULE is set, in the environment or in `.env`, it takes the local settings: loopback only.
"""

import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from gateway_project.settings import choose_settings

if __name__ == "__main__":
    choose_settings("local")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting that is none: its name and what it should be say more than frames
        sys.exit(str(error))
