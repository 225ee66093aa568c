"""Record received actions, their resends, and their executions by a person."""

from django.db import models

from core.contract import ErrorCode
from core.models import BaseModel
from core.statements import insert_unless_known

#: The outcomes of actions that had no effect: refused, or failed and rolled back.
FAILURES = frozenset(code.value for code in ErrorCode)


class ReceivedAction(BaseModel):
    """One action with its reply. Written in the same transaction as the action's effects."""

    action_id = models.CharField(
        max_length=100, unique=True, null=True, help_text="Empty if the sender's action_id is missing or invalid."
    )
    action_type = models.CharField(max_length=64, blank=True)
    accession_number = models.CharField(max_length=16, blank=True, db_index=True)
    source_system = models.CharField(max_length=64, blank=True)
    payload = models.TextField(help_text="The frame as received.")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the payload with its keys sorted.")
    connection = models.CharField(
        max_length=200, help_text="The hybrid connection and rendezvous, or the file or import and the position in it."
    )
    correlation_id = models.CharField(max_length=64, db_index=True)
    received_at = models.DateTimeField(db_index=True)
    outcome = models.CharField(max_length=40, help_text="The reply's status, or its error code if the action failed.")
    reply = models.TextField(blank=True, help_text="The reply as sent, byte for byte.")
    duration_ms = models.PositiveIntegerField(default=0)
    is_final = models.BooleanField(default=False, help_text="If the action is sent again, it gets this reply again.")
    times_received = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("-received_at",)
        indexes = (
            # Covers what the metrics count: they read this index, not the rows of a large table.
            models.Index(fields=("action_type", "outcome", "is_final", "duration_ms"), name="action_for_metrics"),
            # The filters of the admin's list, in the order of the list.
            models.Index(fields=("outcome", "received_at"), name="action_by_outcome"),
            models.Index(fields=("action_type", "received_at"), name="action_by_type"),
        )
        permissions = (
            ("view_payload", "Can see the payload of an action, which has patient data"),
            ("reprocess_action", "Can execute a failed action again"),
            ("import_actions", "Can import actions"),
        )

    def __str__(self) -> str:
        return self.action_id or f"(no action_id) {self.id}"

    @property
    def failed(self) -> bool:
        """Whether the action was refused or failed, and so had no effect."""
        return self.outcome in FAILURES

    def claim(self) -> "ReceivedAction":
        """Insert this row, or find the row that already has its action_id; lock it until the transaction ends.

        If the same action_id arrives twice at the same moment, its unique index lets one transaction insert. The other
        waits in the insert until the first has committed.
        """
        if insert_unless_known(self):
            return self
        return ReceivedAction.objects.select_for_update().get(action_id=self.action_id)

    def keep_resend(self, again: "ReceivedAction", answer: "Resend.Answer", reply: str, duration_ms: int) -> None:
        """Record that the action was sent again, and the reply."""
        Resend.objects.create(
            action=self,
            received_at=again.received_at,
            connection=again.connection,
            correlation_id=again.correlation_id,
            answer=answer,
            payload=again.payload if answer is Resend.Answer.REFUSED else "",
            reply=reply,
            duration_ms=duration_ms,
        )
        self.times_received += 1
        self.save(update_fields=("times_received", "updated_at"))


class Resend(BaseModel):
    """The same action_id received again: sent again after a lost reply, or reused for a different payload."""

    class Answer(models.TextChoices):
        REPEATED = "repeated", "the first reply was repeated"
        RETRIED = "retried", "executed again, because the first attempt failed in the gateway"
        REFUSED = "refused", "refused: the payload differs from the first one"

    action = models.ForeignKey(ReceivedAction, on_delete=models.CASCADE, related_name="resends")
    received_at = models.DateTimeField()
    connection = models.CharField(max_length=200)
    correlation_id = models.CharField(max_length=64)
    answer = models.CharField(max_length=10, choices=Answer)
    payload = models.TextField(blank=True, help_text="Kept only if it differs from the first payload.")
    reply = models.TextField()
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("received_at",)

    def __str__(self) -> str:
        return f"{self.received_at:%Y-%m-%d %H:%M:%S} {self.answer}"


class Reprocessing(BaseModel):
    """A person had a failed action executed again. The earlier reply is kept here."""

    action = models.ForeignKey(ReceivedAction, on_delete=models.CASCADE, related_name="reprocessings")
    at = models.DateTimeField()
    by = models.CharField(max_length=100, help_text="The person, named as in the audit log.")
    correlation_id = models.CharField(max_length=64, db_index=True)
    outcome_before = models.CharField(max_length=40)
    reply_before = models.TextField(blank=True, help_text="The earlier reply as sent, byte for byte.")
    outcome = models.CharField(max_length=40)
    reply = models.TextField()
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("at",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"
