"""Define the bases of the other models, the audit log and the daemons' heartbeats."""

import uuid
from typing import Any

from django.db import models


def fitting(model: type[models.Model], **values: Any) -> dict[str, Any]:
    """Return the values of some fields, with each text cut to the length of its column."""
    lengths = {name: getattr(model._meta.get_field(name), "max_length", None) for name in values}
    return {name: value[: lengths[name]] if isinstance(value, str) else value for name, value in values.items()}


class BaseModel(models.Model):
    """A model with a UUID as key, and the times (UTC) at which the row was created and last changed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        abstract = True


class AuditLog(BaseModel):
    """One change of one object: who changed what, from which values to which. It never holds a personal value."""

    class Operation(models.TextChoices):
        CREATE = "create"
        UPDATE = "update"
        EXPORT = "export"
        EXECUTE = "execute"

    actor = models.CharField(max_length=100, help_text="Who made the change, such as relay:manage.")
    operation = models.CharField(max_length=10, choices=Operation)
    object_type = models.CharField(max_length=100, help_text="app.model")
    object_id = models.UUIDField(null=True, help_text="Empty if it concerns many objects, such as an export.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    personal_fields_changed = models.JSONField(default=list, help_text="Names of personal fields that changed.")
    correlation_id = models.CharField(max_length=64, blank=True, db_index=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name_plural = "audit log"
        indexes = (
            # With created_at: without it SQLite reads all rows of a type, as those are in the order of the list.
            models.Index(fields=("object_type", "object_id", "created_at"), name="audit_by_object"),
            models.Index(fields=("created_at",)),
            # The admin's filters, in the order of the list.
            models.Index(fields=("actor", "created_at"), name="audit_by_actor"),
            models.Index(fields=("operation", "created_at"), name="audit_by_operation"),
            models.Index(fields=("object_type", "created_at"), name="audit_by_type"),
        )

    def __str__(self) -> str:
        return f"{self.operation} {self.object_type} by {self.actor}"


class Heartbeat(models.Model):
    """The last sign of life of a daemon: one row for each process. An old row is of a process that was killed."""

    role = models.CharField(max_length=30, help_text="The kind of daemon, such as mwl_scp.")
    instance = models.CharField(max_length=100, help_text="host:process id")
    state = models.CharField(max_length=30)
    state_since = models.DateTimeField()
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_index=True)
    details = models.JSONField(default=dict)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("role", "instance"), name="one_heartbeat_per_process"),)
        ordering = ("role", "-beat_at")

    def __str__(self) -> str:
        return f"{self.role} {self.instance}: {self.state}"


class PersonalDataModel(BaseModel):
    """A model that knows which of its fields are personal data."""

    personal_fields: frozenset[str] = frozenset()

    class Meta:
        abstract = True

    def impersonal_values(self) -> dict[str, Any]:
        """Return the values of the fields that are not personal, as JSON, by field name."""
        return {
            field.attname: field.value_to_string(self)
            for field in self._meta.concrete_fields
            if field.name not in self.personal_fields
        }
