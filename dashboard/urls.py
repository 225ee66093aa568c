"""Route the live page, its WebSocket, the login and the admin's timelines."""

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from dashboard.broadcaster import Broadcaster
from dashboard.consumers import LivePageConsumer
from dashboard.views import live_page

urlpatterns = [
    path("", live_page, name="live-page"),
    path(
        "login/",
        LoginView.as_view(template_name="dashboard/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", include("dashboard.timeline")),
    # The admin's pages name no icon, so browsers look for it here.
    path("favicon.ico", RedirectView.as_view(url=static("dashboard/nhsuk/favicon.ico"))),
]

#: All viewers of this process share one broadcaster.
_consumer: Any = LivePageConsumer.as_asgi(broadcaster=Broadcaster())
sockets: list[Any] = [path("live/", _consumer)]
