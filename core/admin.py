"""Owns how the admin shows records: to look at, not to edit, and without a person to whom that is not permitted."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from core.large_tables import (
    BoundedPaginator,
    IndexedChangeList,
    IndexedValuesFilter,
    keys_of_those_with,
    on_a_day,
)
from core.models import AuditLog, Heartbeat

#: Address and words of something that can be done from a page.
Tool = tuple[str, str]


def actor_of(request: HttpRequest) -> str:
    """Who it is, for the audit log."""
    return f"admin:{request.user.get_username()}"


def page_of(record: Model) -> str:
    """The address of a record's page."""
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of what the auditor writes: their history is the audit log's, as Django's own has nothing of it.

    `record_tools` and `list_tools` are what else can be done from a record's page, and from the list.
    """

    is_audited = True
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ("core/admin.css",)}

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        """What this user can do from the page of one record."""
        return []

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        """What this user can do from the list."""
        return []

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """With the tools."""
        tools = self.record_tools(request, kwargs["obj"]) if kwargs.get("obj") else []
        more = {"record_tools": tools, "is_audited": self.is_audited and request.user.has_perm("core.view_auditlog")}
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the tools."""
        return super().changelist_view(request, {**(extra_context or {}), "list_tools": self.list_tools(request)})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the audit log has of the record."""
        record = self.get_object(request, object_id)
        if record is None:
            raise Http404
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        about = {"object_type": self.opts.label_lower, "object_id": str(record.pk)}
        return redirect(reverse("admin:core_auditlog_changelist", query=about))


class RecordAdmin(AuditedAdmin):
    """A record that may be looked at by whoever has the view permission, and changed by nobody.

    `guarded_fields` says of fields, and of what the page makes of them, which permission each of them takes: whoever
    lacks it does not see the field. A list can be narrowed by its filters and by `linked_by`, the fields that other
    pages link to it by; by one of `found_by` a single record is gone to at once. `search_fields` are compared whole.
    """

    linked_by: tuple[str, ...] = ()
    found_by: tuple[str, ...] = ()
    guarded_fields: Mapping[str, str] = {}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns that this user may see."""
        return [name for name in self.list_display if self._visible(request, name)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The groups of fields, each with what this user may see of it."""
        groups = [
            (title, {**options, "fields": [name for name in options["fields"] if self._visible(request, name)]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in groups if options["fields"]]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """The list that sorts by indexes alone."""
        return IndexedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Those that have the whole term in one of `search_fields`."""
        if not (term := search_term.strip()):
            return queryset, False
        fields = tuple(name.removeprefix("=") for name in self.search_fields)
        found = keys_of_those_with(self.model._default_manager.order_by(*self.get_ordering(request)), fields, term)
        return queryset.filter(pk__in=found), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; or the one record that a link to it means."""
        if len(request.GET) == 1 and set(request.GET) <= set(self.found_by) and self.has_view_permission(request):
            found = list(self.get_queryset(request).filter(**request.GET.dict()).order_by()[:2])
            if len(found) == 1:
                return redirect(page_of(found[0]))
        return super().changelist_view(request, extra_context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only by what the page itself offers: `?patient_name__startswith=S` would tell a name by its letters."""
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
    """Who changed what."""

    is_audited = False
    list_display = ("created_at", "actor", "operation", "object_type", "object_id", "correlation_id")
    list_filter = (
        on_a_day("created_at", "day"),
        "operation",
        ("object_type", IndexedValuesFilter),
        ("actor", IndexedValuesFilter),
    )
    linked_by = ("object_id",)
    sortable_by = ("created_at",)
    search_fields = ("correlation_id", "object_id")
    search_help_text = "Correlation id or object id, whole."


@admin.register(Heartbeat)
class HeartbeatAdmin(RecordAdmin):
    """What the daemons last said of themselves."""

    is_audited = False
    list_display = ("role", "instance", "state", "state_since", "beat_at")
    list_filter = ("role", "state")
