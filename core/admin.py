"""Owns how the admin shows records: to look at, not to edit, and without a person to whom that is not permitted."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.models import AuditLog, Heartbeat


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A record that may be looked at by whoever has the view permission, and changed by nobody.

    `personal_fields` are left out for whoever lacks `personal_permission`. A list can be narrowed by its filters, its
    dates, and by `linked_by`: the fields that other pages link to it by.
    """

    linked_by: tuple[str, ...] = ()
    personal_fields: frozenset[str] = frozenset()
    personal_permission = ""
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def may_see_persons(self, request: HttpRequest) -> bool:
        """Whether this user may see who somebody is."""
        return not self.personal_fields or bool(request.user.has_perm(self.personal_permission))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns that this user may see."""
        return [name for name in self.list_display if self._visible(request, name)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The groups of fields, each with what this user may see of it."""
        groups = super().get_fieldsets(request, obj)
        return [
            (title, {**options, "fields": [name for name in options["fields"] if self._visible(request, name)]})
            for title, options in groups
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only by what the page itself offers: `?patient_name__startswith=S` would tell a name by its letters."""
        return lookup.split("__", maxsplit=1)[0] in {*self.list_filter, self.date_hierarchy, *self.linked_by}

    def _visible(self, request: HttpRequest, name: Any) -> bool:
        return name not in self.personal_fields or self.may_see_persons(request)


@admin.register(AuditLog)
class AuditLogAdmin(RecordAdmin):
    """Who changed what."""

    list_display = ("created_at", "actor", "operation", "object_type", "object_id", "correlation_id")
    list_filter = ("operation", "object_type", "actor")
    search_fields = ("=correlation_id", "=object_id")
    date_hierarchy = "created_at"


@admin.register(Heartbeat)
class HeartbeatAdmin(RecordAdmin):
    """What the daemons last said of themselves."""

    list_display = ("role", "instance", "state", "state_since", "beat_at")
    list_filter = ("role", "state")
