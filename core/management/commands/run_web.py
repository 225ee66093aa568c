"""Serve the live page and the admin over HTTP (ASGI, uvicorn) until SIGTERM or SIGINT."""

import socket
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.daemon import exit_process, stop_event


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; exit with status 2 if the port is taken."""
        host, port = settings.WEB_HOST, settings.WEB_PORT
        try:
            listening = socket.create_server((host, port), backlog=128)
        except OSError as error:
            problem = f"The web server cannot listen on {host}:{port} ({error.strerror}). Set WEB_PORT to another port"
            raise CommandError(problem, returncode=2) from None
        # No access log: it would hold the search terms of the admin, which may be names.
        config = uvicorn.Config(
            settings.ASGI_APPLICATION,
            loop="asyncio:SelectorEventLoop",  # on Windows, psycopg cannot use the default one
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            ws_max_size=1024,  # the live page sends nothing long
        )
        with stop_event():  # uvicorn raises the signal again after it has stopped; this keeps it from doing anything
            uvicorn.Server(config).run(sockets=[listening])
        exit_process()  # a thread that waits for an absent database would keep this process alive
