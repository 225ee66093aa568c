"""Which address shows what."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import RedirectView


def alive(request: HttpRequest) -> HttpResponse:
    """200 as soon as the web server answers; it looks at nothing else."""
    return HttpResponse("alive\n", content_type="text/plain")


admin.site.site_header = admin.site.site_title = "Screening gateway"
admin.site.index_title = "What came in, and what the machines are shown"
admin.site.enable_nav_sidebar = False  # its width is wanted for the lists

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", alive, name="alive"),
    path("admin/", admin.site.urls),
]
