"""Show records in Django's admin: read-only, and without personal data for users who may not see it.

`AuditedAdmin` is the base of pages whose changes go through `core.audit`; `RecordAdmin` of those that only show.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import mark_safe

from core.large_tables import (
    BoundedPaginator,
    IndexedChangeList,
    IndexedValuesFilter,
    day_filter,
    matching_pks,
)
from core.links import admin_url
from core.models import AuditLog, Heartbeat

TEST_MARK = mark_safe('<strong class="test-mark">Test, no patient</strong>')

#: The address and the label of a link above a record or a list.
Tool = tuple[str, str]


def actor_of(request: HttpRequest) -> str:
    """Return the user's name as the audit log has it: `admin:jane`."""
    return f"admin:{request.user.get_username()}"


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of a model whose changes are in the audit log: *History* opens the audit log instead of Django's own.

    Override `record_tools` and `list_tools` to offer more links (Django's object tools).
    """

    change_form_template = "admin/record_form.html"
    change_list_template = "admin/record_list.html"
    is_audited = True
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ("core/admin.css",)}

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        """Return the links that this user is offered on the page of one record."""
        return []

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        """Return the links that this user is offered on the list."""
        return []

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        tools = self.record_tools(request, kwargs["obj"]) if kwargs.get("obj") else []
        more = {"record_tools": tools, "is_audited": self.is_audited and request.user.has_perm("core.view_auditlog")}
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "list_tools": self.list_tools(request)})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the record's entries in the audit log."""
        record = self.get_object(request, object_id)
        if record is None:
            raise Http404
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        about = {"object_type": self.opts.label_lower, "object_id": str(record.pk)}
        return redirect(reverse("admin:core_auditlog_changelist", query=about))


class RecordAdmin(AuditedAdmin):
    """Read-only pages for users with the view permission.

    `guarded_fields` maps a field, or a column computed from fields, to the permission without which it is hidden.
    A list can be filtered by `list_filter` and by `linked_by`, the fields by which other pages link to it. A link by
    one of `found_by` opens the record itself if there is only one. A search compares `search_fields` as a whole.
    """

    linked_by: tuple[str, ...] = ()
    found_by: tuple[str, ...] = ()
    guarded_fields: Mapping[str, str] = {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns that this user may see."""
        return [name for name in self.list_display if self._visible(request, name)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the groups of fields, without the fields that this user may not see and without empty groups."""
        groups = [
            (title, {**options, "fields": [name for name in options["fields"] if self._visible(request, name)]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in groups if options["fields"]]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return IndexedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the records in which one of `search_fields` equals the term."""
        if not (term := search_term.strip()):
            return queryset, False
        fields = tuple(name.removeprefix("=") for name in self.search_fields)
        found = matching_pks(self.model._default_manager.order_by(*self.get_ordering(request)), fields, term)
        return queryset.filter(pk__in=found), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list; redirect to the record if the query names exactly one by a field of `found_by`."""
        if len(request.GET) == 1 and set(request.GET) <= set(self.found_by) and self.has_view_permission(request):
            found = list(self.get_queryset(request).filter(**request.GET.dict()).order_by()[:2])
            if len(found) == 1:
                return redirect(admin_url(found[0]))
        return super().changelist_view(request, extra_context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the page's own filters: `?patient_name__startswith=S` would reveal a name letter by letter."""
        return lookup in self._lookups() or lookup.removesuffix("__exact") in self._lookups()

    def _lookups(self) -> Iterator[str]:
        yield from self.linked_by
        yield from self.found_by
        for each in self.list_filter:
            if isinstance(each, type):
                yield getattr(each, "parameter_name", "")
            else:
                field: Any = each
                yield field if isinstance(field, str) else str(field[0])

    def _visible(self, request: HttpRequest, name: Any) -> bool:
        permission = self.guarded_fields.get(name)
        return permission is None or bool(request.user.has_perm(permission))


@admin.register(AuditLog)
class AuditLogAdmin(RecordAdmin):
    """The audit log: who changed what."""

    is_audited = False
    list_display = ("created_at", "actor", "operation", "object_type", "object_id", "correlation_id")
    list_filter = (
        day_filter("created_at", "day"),
        "operation",
        ("object_type", IndexedValuesFilter),
        ("actor", IndexedValuesFilter),
    )
    linked_by = ("object_id",)
    sortable_by = ("created_at",)
    search_fields = ("correlation_id", "object_id")
    search_help_text = "A complete correlation ID or object ID."


@admin.register(Heartbeat)
class HeartbeatAdmin(RecordAdmin):
    """The last heartbeat of each daemon process."""

    is_audited = False
    list_display = ("role", "instance", "state", "state_since", "beat_at")
    list_filter = ("role", "state")
