#!/usr/bin/env python
"""Run the gateway's commands: `python manage.py help` lists them.

Unless DJANGO_SETTINGS_MODULE is set in the environment or in `.env`, the local settings apply: loopback only.
"""

import sys
from io import TextIOWrapper
from typing import cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from gateway_project.settings import choose_settings

#: What pydicom imports where it is installed, and a server that decodes no image has no use for: a second of its start,
#: and 18 MiB.
UNUSED = {"run_mwl_scp": ("numpy", "PIL", "gdcm")}

if __name__ == "__main__":
    choose_settings("local")
    for name in UNUSED.get(next(iter(sys.argv[1:]), ""), ()):
        sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say that an import is to fail
    for stream in (sys.stdout, sys.stderr):  # on Windows, a pipe's or a file's encoding lacks the letters of many names
        cast(TextIOWrapper, stream).reconfigure(encoding="utf-8")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong setting: its name and the rule say more than a traceback
        sys.exit(str(error))
