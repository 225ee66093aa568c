"""Find the actions from Manage that failed today, by error code."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from core.concerns import LISTED, Concern, Occurrence, Severity, grouped
from core.contract import ErrorCode
from core.large_tables import midnight
from core.links import admin_url, page_url
from core.wording import count_of
from relay.models import FAILURES, ReceivedAction

#: Error code → the words for it. Other codes read well enough with spaces for underscores.
CODE_WORDS = {ErrorCode.INVALID_ACTION: "invalid data"}
WHAT_TO_DO = {
    ErrorCode.TEMPORARILY_UNAVAILABLE: (
        "Manage does not send it again by itself. Send it again in Manage, or execute it again here. "
        "If this continues, check the database."
    ),
    ErrorCode.INTERNAL_ERROR: "This is a fault in the gateway. Support can find it in the log by its correlation ID.",
    ErrorCode.ACCESSION_CONFLICT: "Another item has this accession number. Compare both, and correct it in Manage.",
    ErrorCode.NOT_FOUND: "The gateway does not have this item. Check whether creating it failed earlier.",
}
OTHERWISE = "The gateway cannot do what Manage sent. Manage support can find the reason in the reply."


def failed_actions(now: datetime) -> Iterator[Concern]:
    """Yield one concern for each error code with which an action received today has failed."""
    today = midnight(timezone.localtime(now).date())
    rows = ReceivedAction.objects.filter(outcome__in=sorted(FAILURES), received_at__gte=today)
    failures = rows.defer("payload", "reply").order_by("-received_at")
    for outcome, actions, count in grouped(failures, "outcome"):
        code = ErrorCode(outcome)
        words = CODE_WORDS.get(code, outcome.replace("_", " "))
        yield Concern(
            key="failed_actions",
            severity=Severity.WARNING,
            title=f"{count_of(count, 'action')} from Manage failed today ({words})",
            what_to_do=WHAT_TO_DO.get(code, OTHERWISE),
            permission="relay.view_receivedaction",
            count=count,
            latest=tuple(
                Occurrence(each.accession_number or str(each), admin_url(each), str(each), each.received_at)
                for each in actions[:LISTED]
            ),
            link=page_url("admin:relay_receivedaction_changelist", query={"outcome": outcome, "day": "today"}),
        )
