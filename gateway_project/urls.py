"""Map addresses to views."""

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.http import require_safe

from core.readiness import ready
from dashboard.metrics import metrics


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """Answer with 200: the web server runs. Nothing else is checked."""
    return HttpResponse("alive\n", content_type="text/plain")


admin.autodiscover()
admin.site.site_header = admin.site.site_title = "Screening gateway"
admin.site.index_title = "Received actions, worklist and modalities"
admin.site.index_template = "admin/dashboard/index.html"  # with what needs attention
admin.site.enable_nav_sidebar = False  # the lists need the width

handler500 = "dashboard.views.server_error"
urlpatterns = [
    path("", include("dashboard.urls")),
    path("healthz", alive, name="alive"),
    path("readyz", ready, name="ready"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
if apps.is_installed("nonprod"):  # never in production
    urlpatterns.append(path("nonprod/", include("nonprod.pages.urls")))
