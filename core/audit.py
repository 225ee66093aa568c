"""Write audited records: each change and its audit log entry, in one transaction of the caller's.

Worklist items, steps and modalities are written only here. What a person does without changing a record, such as an
export, is also noted here. The audit log never holds a personal value, only the names of the personal fields.
"""

from typing import Any

from django.db.models import Model
from django.utils import timezone

from core.correlation import correlation_id
from core.models import AuditLog, PersonalDataModel
from core.statements import insert, insert_unless_known


class Auditor:
    """Writes objects on behalf of an actor, such as `relay:manage` or `admin:jane`, and records each change.

        auditor = Auditor("admin:jane")
        if not auditor.update(item, status="COMPLETED"):
            ...  # somebody else has changed it: read it again

    Call it inside `transaction.atomic()`.
    """

    def __init__(self, actor: str) -> None:
        self.actor = actor[:100]

    def create_unless_known(self, obj: PersonalDataModel) -> bool:
        """Insert `obj` unless a row has the same unique value; return True if it was inserted.

        Of two calls at the same instant one inserts, and the other waits for its commit and returns False.
        """
        if not insert_unless_known(obj):
            return False
        self._record(AuditLog.Operation.CREATE, obj, after=obj.impersonal_values())
        return True

    def update(self, obj: PersonalDataModel, **changes: Any) -> bool:
        """Change the fields if the row still has the values that `obj` was read with; otherwise return False."""
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
        """Record what was done with an object, or with many of a model. `before` and `after` must not be personal."""
        self._record(operation, about, before=before, after=after)

    def _record(
        self,
        operation: AuditLog.Operation,
        about: Model | type[Model],
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        personal: list[str] | None = None,
    ) -> None:
        insert(
            AuditLog(
                actor=self.actor,
                operation=operation,
                object_type=about._meta.label_lower,
                object_id=about.pk if isinstance(about, Model) else None,
                before=before or {},
                after=after or {},
                personal_fields_changed=personal or [],
                correlation_id=correlation_id(),
            )
        )
