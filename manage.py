#!/usr/bin/env python
"""Run the gateway's commands: `python manage.py help` lists them.

Unless DJANGO_SETTINGS_MODULE is set in the environment or in `.env`, the local settings apply: loopback only.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from io import TextIOWrapper
from types import ModuleType
from typing import cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from gateway_project.settings import choose_settings

#: What pydicom imports where it is installed, and a server that decodes no image has no use for: a second of its start,
#: and 18 MiB.
UNUSED = {"run_mwl_scp": ("numpy", "PIL", "gdcm")}


class NotInstalled(MetaPathFinder):
    """Makes packages look as if they were not installed.

    None in sys.modules would do so, too, but psycopg takes it for the package.
    """

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /) -> None:
        """Leave a package to the other finders unless it is one of these; raise ModuleNotFoundError if it is."""
        if fullname in self.packages:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


if __name__ == "__main__":
    choose_settings("local")
    sys.meta_path.insert(0, NotInstalled(UNUSED.get(next(iter(sys.argv[1:]), ""), ())))
    for stream in (sys.stdout, sys.stderr):  # on Windows, a pipe's or a file's encoding lacks the letters of many names
        cast(TextIOWrapper, stream).reconfigure(encoding="utf-8")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong setting: its name and the rule say more than a traceback
        sys.exit(str(error))
