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

#: What pydicom imports where it is installed, and a server has no use for that decodes no image and downloads no
#: examples: half a second of its start, and 18 MiB.
UNUSED = ("numpy", "PIL", "gdcm", "requests")


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


def import_pydicom() -> None:
    """Import pydicom alone. What else imports one of UNUSED later, as tracing does, gets it."""
    finder = NotInstalled(UNUSED)
    sys.meta_path.insert(0, finder)
    import pydicom  # noqa: F401, PLC0415

    sys.meta_path.remove(finder)


if __name__ == "__main__":
    choose_settings("local")
    if sys.argv[1:2] == ["run_mwl_scp"]:
        import_pydicom()
    for stream in (sys.stdout, sys.stderr):  # on Windows, a pipe's or a file's encoding lacks the letters of many names
        cast(TextIOWrapper, stream).reconfigure(encoding="utf-8")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong setting: its name and the rule say more than a traceback
        sys.exit(str(error))
