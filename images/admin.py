"""Show received images with their state and picture, and let staff link, discard or send them again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache

from core.admin import TEST_MARK, RecordAdmin, Tool, actor_of
from core.large_tables import IndexedValuesFilter, day_filter
from core.links import admin_url
from core.notes import ReasonForm
from images import whole_way_admin  # noqa: F401 - registers its pages
from images.decisions import DISCARDABLE, LINKABLE, REPEATABLE, CannotDecide, discard, link_to_item, send_again
from images.items import worklist
from images.models import FailureReport, ReceivedImage
from images.pictures import NoPicture, png_of
from images.spool import spool

#: Permissions besides Django's own for the model.
VIEW_PATIENT_DATA = "worklist.view_patient_data"
VIEW_PICTURE = "images.view_picture"
DECIDE = "images.decide_image"


class LinkForm(ReasonForm):
    """Asks for the item that an image belongs to."""

    accession_number = forms.CharField(max_length=16, help_text="Of the item that the image belongs to.")
    another_patient = forms.BooleanField(
        label="Link it although the NHS numbers differ",
        required=False,
        help_text="Select this only if you know that the machine had the wrong NHS number. It goes to Manage as it is.",
    )

    def __init__(self, *args: Any, about: ReceivedImage, **kwargs: Any) -> None:
        super().__init__(*args, about=about, initial={"accession_number": about.item_accession_number}, **kwargs)

    field_order = ("accession_number", "another_patient", "note")

    def clean(self) -> dict[str, Any]:
        """Refuse an item of another patient unless the user confirms it, as a typing error would name it too."""
        given = super().clean() or self.cleaned_data
        number = given.get("accession_number")
        item = worklist().item_of_number(number) if number else None
        if number and item is None:
            self.add_error("accession_number", "No worklist item has this accession number.")
        elif item and not (
            given.get("another_patient") or worklist().is_same_patient(self.about.patient_id, item.patient_id)
        ):
            self.add_error(
                "another_patient", "The image's NHS number is not the item's. Check that this is the same woman."
            )
        return given


@dataclass(frozen=True)
class Decision:
    """One thing that a person may do with an image: its page, its form, the states it needs and what it does."""

    title: str
    explanation: str
    form: type[ReasonForm]
    states: frozenset[ReceivedImage.State]
    needs_item: bool
    #: Decides, and returns whether Manage may have the image although it should not.
    decide: Callable[[ReceivedImage, dict[str, Any], str], bool | None]

    def is_open_to(self, image: ReceivedImage) -> bool:
        """Tell whether the image is in a state for this decision."""
        return image.state in self.states and (not self.needs_item or image.item_id is not None)


#: The last part of the page's address → the decision.
DECISIONS = {
    "link": Decision(
        "Link to an item",
        "The image will go to Manage as one of this item, which is then in progress unless it has ended.",
        LinkForm,
        LINKABLE,
        needs_item=False,
        decide=lambda image, given, actor: link_to_item(image, given["accession_number"], actor, given["note"]),
    ),
    "again": Decision(
        "Send again",
        "The image goes to Manage as if it had just come. Manage shows the same image once, however often it is sent.",
        ReasonForm,
        REPEATABLE,
        needs_item=True,
        decide=lambda image, given, actor: send_again(image, actor, given["note"]),
    ),
    "discard": Decision(
        "Discard",
        "The image does not go to Manage, unless it has already been sent. Its files are deleted. The original in the "
        "PACS is not affected.",
        ReasonForm,
        DISCARDABLE,
        needs_item=False,
        decide=lambda image, given, actor: discard(image, actor, given["note"]),
    ),
}


@admin.register(ReceivedImage)
class ReceivedImageAdmin(RecordAdmin):
    """Shows what the machines sent and what became of it. NHS numbers cannot be searched for: addresses are logged."""

    guarded_fields = {"patient_id": VIEW_PATIENT_DATA, "picture": VIEW_PICTURE}
    list_display = (
        "received_at",
        "view",
        "test_mark",
        "state",
        "reason",
        "item_accession_number",
        "calling_ae_title",
        "uploaded_at",
    )
    list_display_links = ("received_at", "view")
    list_filter = ("state", day_filter("received_at", "day"), "reason", ("calling_ae_title", IndexedValuesFilter))
    linked_by = ("state__exact", "reason__exact", "item_accession_number", "study_instance_uid")
    sortable_by = ("received_at",)
    search_fields = (
        "item_accession_number",
        "accession_number",
        "study_instance_uid",
        "sop_instance_uid",
        "correlation_id",
        "action_id",
    )
    search_help_text = "Enter a whole accession number, Study or SOP Instance UID, correlation id or action id."
    fieldsets = (
        (None, {"fields": ("view", "test_mark", "state", "reason", "item_link", "picture")}),
        (
            "As the machine sent it",
            {
                "fields": (
                    "received_at",
                    "calling_ae_title",
                    "address",
                    "patient_id",
                    "accession_numbers",
                    "study_date",
                    "study_instance_uid",
                    "series_instance_uid",
                    "sop_instance_uid",
                    "sop_class_uid",
                    "transfer_syntax_uid",
                    "version",
                    "size",
                    "digest",
                )
            },
        ),
        (
            "On the way to Manage",
            {
                "fields": (
                    "action_id",
                    "attempts",
                    "next_attempt_at",
                    "last_status",
                    "last_error",
                    "uploaded_at",
                    "decided_at",
                    "correlation_id",
                )
            },
        ),
        ("Files", {"fields": ("file", "copy", "deleted_at")}),
    )

    @admin.display(description="image")
    def view(self, image: ReceivedImage) -> str:
        """Side and view, such as RCC."""
        return str(image)

    @admin.display(description="test")
    def test_mark(self, image: ReceivedImage) -> SafeString | str:
        return TEST_MARK if image.is_test else ""

    @admin.display
    def accession_numbers(self, image: ReceivedImage) -> str:
        """As in the image: that of its top level, then others of the Request Attributes Sequence."""
        return ", ".join(image.accession_numbers) or "none"

    @admin.display(description="item")
    def item_link(self, image: ReceivedImage) -> SafeString | str:
        """The item that the image belongs to; of one that is held back, the item that it names."""
        if not image.item_accession_number:
            return "none"
        address = reverse(
            "admin:worklist_worklistitem_changelist", query={"accession_number": image.item_accession_number}
        )
        link = format_html('<a href="{}">{}</a>', address, image.item_accession_number)
        return link if image.item_id else format_html("none, but it names {}", link)

    @admin.display(description="picture")
    def picture(self, image: ReceivedImage) -> SafeString | str:
        """The small copy, which is made after the image was received."""
        if not image.copy:
            return "There is no copy yet, or it has been deleted."
        address = reverse("admin:images_receivedimage_picture", args=[image.pk])
        return format_html('<img src="{}" alt="The copy of {} for Manage" height="400">', address, image)

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        """Offer the decisions that this user may take about this image now."""
        if not request.user.has_perm(DECIDE):
            return []
        return [
            (reverse(f"admin:images_receivedimage_{slug}", args=[record.pk]), decision.title)
            for slug, decision in DECISIONS.items()
            if decision.is_open_to(record)
        ]

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each decision, and the picture."""
        decide, picture = self.admin_site.admin_view(self.decide_view), self.admin_site.admin_view(self.picture_view)
        return [
            *(path(f"<uuid:pk>/{slug}/", decide, {"slug": slug}, f"images_receivedimage_{slug}") for slug in DECISIONS),
            path("<uuid:pk>/picture.png", never_cache(picture), name="images_receivedimage_picture"),
            *super().get_urls(),
        ]

    def decide_view(self, request: HttpRequest, pk: UUID, slug: str) -> HttpResponse:
        """Ask for the reason, and decide in this user's name."""
        if not (self.has_view_permission(request) and request.user.has_perm(DECIDE)):
            raise PermissionDenied
        image, decision = get_object_or_404(ReceivedImage, pk=pk), DECISIONS[slug]
        form = decision.form(request.POST if request.method == "POST" else None, about=image)
        if form.is_valid():
            try:
                is_perhaps_sent = decision.decide(image, form.cleaned_data, actor_of(request))
            except CannotDecide as reason:
                messages.error(request, f"Nothing has changed. {reason}.")
            else:
                image.refresh_from_db()
                messages.success(request, f"The image is now {image.get_state_display()}.")
                if is_perhaps_sent:
                    messages.warning(request, "It had already been sent, so Manage may have it: call Manage's support.")
            return redirect(admin_url(image))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{decision.title}: {image}",
            "image": image,
            "decision": decision,
            "form": form,
            "sees_patients": request.user.has_perm(VIEW_PATIENT_DATA),
            "picture": self.picture(image) if request.user.has_perm(VIEW_PICTURE) else "",
        }
        return TemplateResponse(request, "admin/images/decide.html", context)

    def picture_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Send the copy as PNG; 404 if there is none."""
        if not (self.has_view_permission(request) and request.user.has_perm(VIEW_PICTURE)):
            raise PermissionDenied
        image = get_object_or_404(ReceivedImage, pk=pk)
        if not image.copy:
            raise Http404
        try:
            return HttpResponse(png_of(spool().copy(image.copy)), content_type="image/png")
        except NoPicture:
            raise Http404 from None


@admin.register(FailureReport)
class FailureReportAdmin(RecordAdmin):
    """Shows what Manage was told about images that it does not get."""

    is_audited = False
    list_display = ("created_at", "action_id", "sentence", "delivered_at", "attempts", "last_status")
    sortable_by = ("created_at",)
    search_fields = ("action_id",)
    search_help_text = "Enter a whole action id."
