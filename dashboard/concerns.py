"""Find the daemons that do not work, the machines that are silent, and the AE titles that nobody has configured."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.conf import settings

from core.concerns import LISTED, Concern, Occurrence, Severity
from core.links import page_url
from dashboard.daemons import DaemonStatus, heartbeats, relay_listener, worklist_server
from dashboard.images import are_images_on, image_daemons
from dashboard.modalities import ModalityActivity, known_modalities, modality_activity

CHECK_MACHINE = "Check that it is switched on, and refresh its worklist. If that shows an error, call support."


def daemon_concerns(now: datetime) -> Iterator[Concern]:
    """Read the heartbeats, and return a concern for each daemon."""
    beats = heartbeats()
    of_images = image_daemons(beats, now) if are_images_on() else ()
    return concerns_of_daemons(relay_listener(beats, now), worklist_server(beats, now), of_images)


def concerns_of_daemons(
    relay: DaemonStatus, worklist: DaemonStatus, of_images: Sequence[DaemonStatus]
) -> Iterator[Concern]:
    """Yield a concern for each daemon; its count is 0 while the daemon works."""
    yield _daemon_concern("relay_connection", "Connection to Manage", relay)
    yield _daemon_concern("worklist_server", "Worklist server", worklist)
    for key, daemon in zip(("image_server", "image_uploader"), of_images, strict=False):  # none where images are off
        yield _daemon_concern(key, "Images", daemon)


def _daemon_concern(key: str, name: str, daemon: DaemonStatus) -> Concern:
    """Return the concern about a daemon; its count is 0 while the daemon works."""
    link = page_url("admin:core_heartbeat_changelist")
    title = f"{name}: {daemon.words[0].lower()}{daemon.words[1:]}"
    latest = (Occurrence(daemon.why, link),) if daemon.why else ()
    count = int(daemon.severity is not Severity.OK)
    return Concern(key, daemon.severity, title, daemon.what_to_do, "core.view_heartbeat", count, latest, link)


def modality_concerns(now: datetime) -> Iterator[Concern]:
    """Read the queries of the machines, and return the concerns about them."""
    return concerns_of_modalities(modality_activity(known_modalities(), now))


def concerns_of_modalities(activities: Sequence[ModalityActivity]) -> Iterator[Concern]:
    """Yield the machines that are silent for longer than usual, and the unknown AE titles that have sent queries.

    An unknown AE title needs no attention where any may connect, or before any modality is configured.
    """
    silent = [each for each in activities if each.is_silent]
    queries_page = page_url("admin:worklist_worklistquery_changelist")
    yield Concern(
        key="silent_modality",
        severity=Severity.WARNING,
        title="Machines silent for longer than usual",
        what_to_do=CHECK_MACHINE,
        permission="worklist.view_worklistquery",
        count=len(silent),
        latest=tuple(
            Occurrence(
                f"{each.name or each.ae_title}: {each.words[0].lower()}{each.words[1:]}",
                page_url("admin:worklist_worklistquery_changelist", query={"calling_ae_title": each.ae_title}),
            )
            for each in silent[:LISTED]
        ),
        link=queries_page,
        one_by_one=True,
    )
    unknown = [each for each in activities if not each.is_known]
    if settings.MWL_UNKNOWN_AE_TITLES == "accept" or not any(each.is_known and not each.is_test for each in activities):
        return
    yield Concern(
        key="unknown_ae_title",
        severity=Severity.WARNING,
        title="Unknown AE titles",
        what_to_do="Find out whose machine it is, and add it to the modalities.",
        permission="worklist.view_worklistquery",
        count=len(unknown),
        latest=tuple(
            Occurrence(
                f"An unknown machine has asked for the worklist: {each.ae_title}",
                page_url("admin:dicom_modality_add", query={"ae_title": each.ae_title}),
                at=each.last_query,
                permission="dicom.add_modality",
            )
            for each in unknown[:LISTED]
        ),
        link=queries_page,
        one_by_one=True,
    )
