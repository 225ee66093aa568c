"""Restrict the pages to gateways that use the relay emulator.

The pages need no login: they are for a developer's own machine and served on loopback. With a real relay, the patients
may be real, so every page answers 404.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

View = Callable[..., HttpResponseBase]


def only_with_emulated_relay(view: View) -> View:
    """Make a view answer 404 with a real relay, and need no login otherwise."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.RELAY_IS_EMULATED:
            raise Http404
        return view(request, *args, **kwargs)

    return login_not_required(guarded)
