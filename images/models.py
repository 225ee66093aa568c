"""Store the received images, what becomes of each, and the failures that are reported to Manage."""

from django.db import models
from django.db.models import Q

from core.models import BaseModel, PersonalDataModel
from images.answers import Outcome


class Queued(models.Model):
    """A row that waits for an attempt, and is claimed for one by a lease.

    Only the holder of an unexpired lease changes the row. If the holder is killed, its lease expires.
    """

    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="When to try next; empty if nothing is left to do.")
    lease_until = models.DateTimeField(null=True, help_text="Until when an uploader has claimed it.")
    leased_by = models.CharField(
        max_length=100, blank=True, help_text="The uploader that has claimed it: host:process id:claim."
    )
    last_outcome = models.CharField(max_length=20, blank=True, help_text="The outcome of the last attempt.")
    last_status = models.PositiveSmallIntegerField(null=True, help_text="Manage's last HTTP status.")
    last_error = models.CharField(max_length=200, blank=True, help_text="Why the last attempt failed.")

    class Meta:
        abstract = True


class ReceivedImage(Queued, PersonalDataModel):
    """One SOP instance, as a machine sent it. Its C-STORE is answered 0000 only once this row is committed.

    The pixels are in a file in the spool (`images/spool.py`), the copy for Manage in another.
    """

    personal_fields = frozenset({"patient_id"})

    class State(models.TextChoices):
        """What has become of an image. Every state but WAITING is final, unless a person decides otherwise."""

        UNLINKED = "unlinked", "belongs to no item"
        HELD = "held", "held back for a person"
        WAITING = "waiting", "waiting to go to Manage"
        UPLOADED = "uploaded", "with Manage"
        FAILED = "failed", "Manage does not get it"
        NOT_SENT = "not_sent", "not for Manage"
        DISCARDED = "discarded", "discarded"

    class Reason(models.TextChoices):
        """Why an image is in its state, if the state alone does not say."""

        ANOTHER_PATIENT = "another_patient", "the image names another patient than the item"
        SEVERAL_ITEMS = "several_items", "its Study Instance UID and its accession number name different items"
        TEST_MACHINE = "test_machine", "a test machine sent it, but the item is a patient's"
        PUT_BACK = (
            "put_back",
            "it was taken, or came, before its item was put back on the list, or is of the Series of such an image, or "
            "the machine's clock is wrong: it may show another woman",
        )
        ANOTHER_VERSION = "another_version", "an image with the same SOP Instance UID came before, with other content"
        NO_COPY = "no_copy", "no copy for Manage could be made of it"
        LONG_PATIENT_ID = "long_patient_id", "its Patient ID is longer than the 10 characters that Manage takes"
        REFUSED = "refused", "Manage refused it"
        DAY_OVER = "day_over", "it had not reached Manage when the day ended"
        NO_ACTION = "no_action", "no action of Manage's made its item"
        AFTER_REPORT = "after_report", "it came after Manage had been told that its action's images failed"
        OUR_FAULT = "our_fault", "Manage could not read the gateway's request: a fault in the gateway"
        FILE_LOST = "file_lost", "its file is missing from the spool"
        EXPIRED = "expired", "nobody linked it in time"
        BY_PERSON = "by_person", "a person decided"
        PERHAPS_SENT = "perhaps_sent", "discarded by a person after it had been sent: Manage may have it"

    sop_instance_uid = models.CharField("SOP Instance UID", max_length=64)
    version = models.PositiveSmallIntegerField(
        default=1, help_text="Numbers the different images with this SOP Instance UID."
    )
    digest = models.CharField(max_length=64, help_text="SHA-256 of the data set as received.")
    sop_class_uid = models.CharField("SOP Class UID", max_length=64)
    transfer_syntax_uid = models.CharField("Transfer Syntax UID", max_length=64)
    study_instance_uid = models.CharField("Study Instance UID", max_length=64, db_index=True)
    series_instance_uid = models.CharField("Series Instance UID", max_length=64)
    accession_number = models.CharField(max_length=64, blank=True, db_index=True, help_text="As in the image.")
    further_accession_numbers = models.JSONField(
        default=list, help_text="Others, from the Request Attributes Sequence."
    )
    patient_id = models.CharField("NHS number", max_length=64, blank=True, help_text="As in the image.")
    study_date = models.DateField(null=True)
    image_laterality = models.CharField(max_length=16, blank=True)
    view_position = models.CharField(max_length=16, blank=True)
    calling_ae_title = models.CharField("calling AE title", max_length=16)
    address = models.CharField(max_length=45)
    received_at = models.DateTimeField(db_index=True)
    size = models.PositiveBigIntegerField(help_text="Bytes of the file in the spool.")
    file = models.CharField(
        max_length=100, blank=True, help_text="The file's name in the spool; empty once it is deleted."
    )
    copy = models.CharField(
        max_length=100, blank=True, help_text="The copy's name in the spool; empty if there is none."
    )

    item_id = models.UUIDField(null=True, db_index=True, help_text="The worklist item it belongs to.")
    item_accession_number = models.CharField(max_length=16, blank=True, db_index=True)
    decided_at = models.DateTimeField(
        null=True,
        help_text="When a person last decided that it is to go to Manage as one of its item, or discarded it.",
    )
    is_test = models.BooleanField("test image", default=False, help_text="It belongs to a test item: no patient.")
    correlation_id = models.CharField(
        max_length=64, blank=True, db_index=True, help_text="The correlation id of its item."
    )
    action_id = models.CharField(
        max_length=100, blank=True, db_index=True, help_text="The action under which it goes to Manage."
    )
    action_day = models.DateField(
        null=True, help_text="The clinic's day of that action: Manage takes the image on no other."
    )

    state = models.CharField(max_length=10, choices=State)
    reason = models.CharField(max_length=20, choices=Reason, blank=True)
    uploaded_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True, help_text="When its files were deleted.")

    class Meta:
        ordering = ("-received_at",)
        constraints = (
            models.UniqueConstraint(fields=("sop_instance_uid", "version"), name="one_image_of_a_version"),
            models.UniqueConstraint(fields=("sop_instance_uid", "digest"), name="one_image_of_a_content"),
        )
        indexes = (
            models.Index(fields=("next_attempt_at",), name="image_due", condition=Q(next_attempt_at__isnull=False)),
            models.Index(fields=("state", "received_at"), name="image_by_state"),
            # The admin's filters, in the order of its list.
            models.Index(fields=("reason", "received_at"), name="image_by_reason"),
            models.Index(fields=("calling_ae_title", "received_at"), name="image_by_machine"),
        )
        permissions = (
            ("view_picture", "Can see the picture of an image"),
            ("decide_image", "Can link, discard or send an image again"),
        )

    def __str__(self) -> str:
        return f"{self.image_laterality}{self.view_position}" or self.sop_instance_uid

    @property
    def may_be_with_manage(self) -> bool:
        """Tell whether Manage may have it although it has not said so: an attempt is under way, or had no clear end.

        If it waits, or is held back, its row names an action only from just before an attempt until an answer that
        excludes this.
        """
        if self.state == self.State.FAILED:
            return self.last_outcome == Outcome.UNKNOWN.value
        if self.state == self.State.DISCARDED:
            return self.reason == self.Reason.PERHAPS_SENT
        return self.state in {self.State.WAITING, self.State.HELD} and bool(self.action_id)

    @property
    def accession_numbers(self) -> tuple[str, ...]:
        """All that the image has, that of its top level first."""
        return tuple(filter(None, (self.accession_number, *self.further_accession_numbers)))


class SpoolIdentity(models.Model):
    """The id of the spool in which the files of all images lie, once there is an image; the spool has it in a file."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    spool_id = models.CharField(max_length=12)


class FailureReport(Queued, BaseModel):
    """What Manage is told about an action whose images it does not get: the last word on that action."""

    action_id = models.CharField(max_length=100, unique=True)
    sentence = models.CharField(max_length=200, help_text="For Manage's support; it says nothing of the patient.")
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.action_id


class WholeWayTest(BaseModel):
    """A test of the whole way with a test item: from the worklist, through the machine's images, to Manage.

    `steps` is its report: for each step its `name`, its `outcome`, a `text`, and when it ended (`at`).
    """

    #: Who asked for a test, if not a user of the admin.
    MANAGE = "manage"

    class State(models.TextChoices):
        """How far a test has got, and the outcome of a step."""

        WAITING = "waiting", "waiting"
        RUNNING = "running", "running"
        PASSED = "passed", "passed"
        FAILED = "failed", "failed"

    #: The outcome of a step that could not be proven and did not have to be.
    LEFT_OUT = "left out"

    item_id = models.UUIDField(unique=True, help_text="The test item.")
    accession_number = models.CharField(max_length=16)
    asked_by = models.CharField(max_length=100, help_text="Who asked for it: Manage, or a user.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    steps = models.JSONField(default=list)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "test of the whole way"
        verbose_name_plural = "tests of the whole way"

    def __str__(self) -> str:
        return self.accession_number
