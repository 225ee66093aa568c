#!/usr/bin/env python
"""Runs every command of the gateway: `python manage.py help`.

Without DJANGO_SETTINGS_MODULE it takes the local settings, which listen on loopback only.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings.local")
    execute_from_command_line(sys.argv)
