"""Show the tests of the whole way with their reports, and let staff start one."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from core.admin import RecordAdmin, Tool, actor_of
from core.links import admin_url
from images.models import WholeWayTest
from images.whole_way import ask_for_test

MAKE_TEST_ITEM = "worklist.make_test_item"
TITLE = "Test the whole way"


@admin.register(WholeWayTest)
class WholeWayTestAdmin(RecordAdmin):
    """The tests, latest first. Whoever may make a test item may start one, and read its report."""

    is_audited = False
    list_display = ("created_at", "accession_number", "asked_by", "state", "last_step")
    list_filter = ("state",)
    linked_by = ("item_id",)
    sortable_by = ("created_at",)
    search_fields = ("accession_number",)
    search_help_text = "The accession number of the test item."
    fields = ("accession_number", "asked_by", "state", "created_at", "started_at", "ended_at", "report")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(MAKE_TEST_ITEM))

    has_module_permission = has_view_permission

    def get_urls(self) -> list[URLPattern]:
        ours = [path("start/", self.admin_site.admin_view(self.start_view), name="images_whole_way_start")]
        return [*ours, *super().get_urls()]

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        return [(reverse("admin:images_whole_way_start"), TITLE)]

    def record_tools(self, request: HttpRequest, record: WholeWayTest) -> list[Tool]:
        return [(admin_url(record), "Update")] if record.ended_at is None else []

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for confirmation, and start a test."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            test = ask_for_test(actor_of(request))
            messages.success(request, f"The test has started, with the test item {test}. It takes some seconds.")
            return redirect(admin_url(test))
        context = {**self.admin_site.each_context(request), "title": TITLE, "opts": self.opts}
        return TemplateResponse(request, "admin/images/start_whole_way_test.html", context)

    @admin.display(description="last step")
    def last_step(self, test: WholeWayTest) -> str:
        return str(test.steps[-1]["name"]) if test.steps else "-"

    @admin.display
    def report(self, test: WholeWayTest) -> SafeString:
        """The steps so far: what each proves, its outcome, and what was found."""
        rows = (
            (step["name"], step["outcome"], step["text"], f"{localtime(datetime.fromisoformat(step['at'])):%H:%M:%S}")
            for step in test.steps
        )
        headings = ((heading,) for heading in ("Step", "Outcome", "Found", "At"))
        head = format_html("<tr>{}</tr>", format_html_join("", "<th scope='col'>{}</th>", headings))
        body = format_html_join("", "<tr><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td></tr>", rows)
        return format_html("<table><thead>{}</thead><tbody>{}</tbody></table>", head, body)
