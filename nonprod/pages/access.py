"""Owns who gets in: everybody who reaches this machine, but only as long as the relay is a played one.

The pages need no login, as they are for a developer's own machine and served on loopback. Where a real relay is
configured the women may be real, and then there are no such pages.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse

View = Callable[..., HttpResponse]


def only_with_a_played_relay(view: View) -> View:
    """The view, which is not there with a real relay."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.RELAY_IS_EMULATED:
            raise Http404
        return view(request, *args, **kwargs)

    return login_not_required(guarded)
