"""Owns what both edges keep: the base of every model, the audit log and the heartbeats of the daemons."""

import uuid
from typing import Any

from django.db import models


class BaseModel(models.Model):
    """A UUID as key, and when the row was made and last changed (UTC)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        abstract = True


class AuditLog(BaseModel):
    """One change of one object: who, what, from where to where. Personal values never stand in it, only their names."""

    class Operation(models.TextChoices):
        CREATE = "create"
        UPDATE = "update"
        EXPORT = "export"
        EXECUTE = "execute"

    actor = models.CharField(max_length=100, help_text="Who or what made the change, such as relay:manage.")
    operation = models.CharField(max_length=10, choices=Operation)
    object_type = models.CharField(max_length=100, help_text="app.model")
    object_id = models.UUIDField(null=True, help_text="Empty for what is about many, such as an export.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    personal_fields_changed = models.JSONField(default=list, help_text="Names of personal fields that changed.")
    correlation_id = models.CharField(max_length=64, blank=True, db_index=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            # With the moment: SQLite would otherwise go through all of a type, as those are in order.
            models.Index(fields=("object_type", "object_id", "created_at"), name="audit_by_object"),
            models.Index(fields=("created_at",)),
            # What the admin narrows its list by, in the order of the list.
            models.Index(fields=("actor", "created_at"), name="audit_by_actor"),
            models.Index(fields=("operation", "created_at"), name="audit_by_operation"),
            models.Index(fields=("object_type", "created_at"), name="audit_by_type"),
        )

    def __str__(self) -> str:
        return f"{self.operation} {self.object_type} by {self.actor}"


class Heartbeat(models.Model):
    """What a daemon last said of itself. One row for each process; old ones are a process that is gone."""

    role = models.CharField(max_length=30, help_text="relay_listener or mwl_scp")
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
    """A model that knows which of its fields tell who somebody is."""

    personal_fields: frozenset[str] = frozenset()

    class Meta:
        abstract = True

    def impersonal_values(self) -> dict[str, Any]:
        """Field name → value of everything that is not personal, as JSON can keep it."""
        return {
            field.attname: field.value_to_string(self)
            for field in self._meta.concrete_fields
            if field.name not in self.personal_fields
        }
