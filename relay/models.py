"""Record the actions that came through the relay.

One row for each action, one for each time it was sent again, and one for each time a person had it executed again.
"""

from django.db import models

from core.contract import ErrorCode
from core.models import BaseModel

#: The outcomes of actions that were not done.
FAILURES = frozenset(code.value for code in ErrorCode)


class ReceivedAction(BaseModel):
    """One action with its reply. Written in the same transaction as the action's effects."""

    action_id = models.CharField(
        max_length=100, unique=True, null=True, help_text="Empty where it was none by which it could be known again."
    )
    action_type = models.CharField(max_length=64, blank=True)
    accession_number = models.CharField(max_length=16, blank=True, db_index=True)
    source_system = models.CharField(max_length=64, blank=True)
    payload = models.TextField(help_text="The frame as it came.")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 over the meaning of the payload.")
    connection = models.CharField(
        max_length=200, help_text="Hybrid connection and rendezvous, or file and place in it."
    )
    correlation_id = models.CharField(max_length=64, db_index=True)
    received_at = models.DateTimeField(db_index=True)
    outcome = models.CharField(max_length=40, help_text="The reply's status, or its code when it failed.")
    reply = models.TextField(blank=True, help_text="The text that was answered, byte for byte.")
    duration_ms = models.PositiveIntegerField(default=0)
    is_final = models.BooleanField(default=False, help_text="The same action_id again gets this reply again.")
    times_received = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("-received_at",)
        indexes = (
            # All that metrics count, so that they read nothing else of a million rows.
            models.Index(fields=("action_type", "outcome", "is_final", "duration_ms"), name="action_for_metrics"),
            # What the admin narrows its list by, in the order of the list.
            models.Index(fields=("outcome", "received_at"), name="action_by_outcome"),
            models.Index(fields=("action_type", "received_at"), name="action_by_type"),
        )
        permissions = (
            ("view_payload", "Can see the payload of an action, which has patient data"),
            ("reprocess_action", "Can have an action that failed executed again"),
        )

    def __str__(self) -> str:
        return self.action_id or f"(no action_id) {self.id}"

    @property
    def failed(self) -> bool:
        """Whether the action was refused or failed, and so was not done."""
        return self.outcome in FAILURES

    def claim(self) -> "ReceivedAction":
        """Insert this row, or find the row that already has its action_id; lock it until the transaction ends.

        Two at the same instant: the unique action_id lets one insert; the other waits there for its commit.
        """
        rows = ReceivedAction.objects
        rows.bulk_create([self], ignore_conflicts=True)
        if self.action_id is None:
            return self
        return rows.select_for_update().get(action_id=self.action_id)

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
    """The same action_id again: a resend after a lost reply, or its misuse with a different payload."""

    class Answer(models.TextChoices):
        REPEATED = "repeated", "the first reply again"
        RETRIED = "retried", "tried again, as the first try had not ended"
        REFUSED = "refused", "refused: another payload under the same action_id"

    action = models.ForeignKey(ReceivedAction, on_delete=models.CASCADE, related_name="resends")
    received_at = models.DateTimeField()
    connection = models.CharField(max_length=200)
    correlation_id = models.CharField(max_length=64)
    answer = models.CharField(max_length=10, choices=Answer)
    payload = models.TextField(blank=True, help_text="Kept only where it differs.")
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
    by = models.CharField(max_length=100, help_text="Who, as in the audit log.")
    correlation_id = models.CharField(max_length=64, db_index=True)
    outcome_before = models.CharField(max_length=40)
    reply_before = models.TextField(blank=True, help_text="What the sender had been answered, byte for byte.")
    outcome = models.CharField(max_length=40)
    reply = models.TextField()
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("at",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"
