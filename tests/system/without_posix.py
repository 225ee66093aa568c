"""Run a command of manage.py without what Python offers on POSIX only, as far as this can be taken away."""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

#: Modules of the standard library that Windows has not: importing one of them fails.
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
SIGNALS = ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGPIPE")

for module in MODULES:
    sys.modules[module] = None  # type: ignore[assignment]
for name in SIGNALS:
    delattr(signal, name)
# Both then raise NotImplementedError, as on Windows.
del asyncio.SelectorEventLoop.add_signal_handler
del asyncio.SelectorEventLoop.remove_signal_handler

from django.core.management import execute_from_command_line  # noqa: E402

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
