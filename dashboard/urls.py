"""Which address shows what of the live page; its WebSocket is in `sockets`."""

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from dashboard.broadcaster import Broadcaster
from dashboard.consumers import LivePage
from dashboard.views import live_page

urlpatterns = [
    path("", live_page, name="live-page"),
    path(
        "login/",
        LoginView.as_view(template_name="dashboard/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", include("dashboard.admin_pages")),
    # Browsers ask for it by themselves, on the admin's pages.
    path("favicon.ico", RedirectView.as_view(url=static("dashboard/nhsuk/favicon.ico"))),
]

#: One broadcaster for all viewers of this process.
_live: Any = LivePage.as_asgi(broadcaster=Broadcaster())
sockets: list[Any] = [path("live/", _live)]
