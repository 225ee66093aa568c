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

    actor = models.CharField(max_length=100, help_text="Who or what made the change, such as relay:manage.")
    operation = models.CharField(max_length=10, choices=Operation)
    object_type = models.CharField(max_length=100, help_text="app.model")
    object_id = models.UUIDField()
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    personal_fields_changed = models.JSONField(default=list, help_text="Names of personal fields that changed.")
    correlation_id = models.CharField(max_length=64, blank=True, db_index=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("object_type", "object_id")), models.Index(fields=("created_at",)))

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
