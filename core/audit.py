"""Owns the only way in which a worklist item is written: the change and its audit row go in together.

What a person does that changes no item is noted in the same place.
"""

from typing import Any

from django.db.models import Model
from django.utils import timezone

from core.correlation import correlation_id
from core.models import AuditLog, PersonalDataModel


class Auditor:
    """Writes objects on behalf of `actor` (such as `relay:manage` or `admin:jane`) and records each change."""

    def __init__(self, actor: str) -> None:
        self.actor = actor[:100]

    def create_unless_known(self, obj: PersonalDataModel) -> bool:
        """Insert `obj`, unless a row with the same unique value is there; True when it was inserted.

        Two that come at the same instant: one is inserted, the other waits for it and gets False.
        """
        rows = type(obj)._default_manager
        rows.bulk_create([obj], ignore_conflicts=True)
        if not rows.filter(pk=obj.pk).exists():
            return False
        self._record(AuditLog.Operation.CREATE, obj, after=obj.impersonal_values())
        return True

    def update(self, obj: PersonalDataModel, **changes: Any) -> bool:
        """Change `obj` where it still is as it was read; False when somebody else changed it meanwhile."""
        rows = type(obj)._default_manager
        was = {name: getattr(obj, name) for name in changes}
        before = obj.impersonal_values()
        if not rows.filter(pk=obj.pk, **was).update(**changes, updated_at=timezone.now()):
            return False
        for name, value in changes.items():
            setattr(obj, name, value)
        after = obj.impersonal_values()
        changed = {name for name in after if after[name] != before[name]}
        self._record(
            AuditLog.Operation.UPDATE,
            obj,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
            personal=sorted(set(changes) & obj.personal_fields),
        )
        return True

    def note(self, operation: AuditLog.Operation, about: Model | type[Model], before: Any = None, **after: Any) -> None:
        """Record what was done with an object, or with many of a kind. No value in it may tell who somebody is."""
        AuditLog.objects.create(
            actor=self.actor,
            operation=operation,
            object_type=about._meta.label_lower,
            object_id=about.pk if isinstance(about, Model) else None,
            before=before or {},
            after=after,
            correlation_id=correlation_id(),
        )

    def _record(
        self,
        operation: AuditLog.Operation,
        obj: PersonalDataModel,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        personal: list[str] | None = None,
    ) -> None:
        AuditLog.objects.create(
            actor=self.actor,
            operation=operation,
            object_type=obj._meta.label_lower,
            object_id=obj.pk,
            before=before or {},
            after=after or {},
            personal_fields_changed=personal or [],
            correlation_id=correlation_id(),
        )
