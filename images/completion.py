"""Complete the items of machines without MPPS: some minutes after the last image, no further one is expected."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from images.items import worklist
from images.models import ReceivedImage

#: Items whose last image came longer ago are left alone: the setting may have been switched on since.
LOOKED_BACK = timedelta(days=1)


def complete_items(now: datetime) -> int:
    """Complete each item whose last image came IMAGE_COMPLETED_AFTER_MINUTES ago; return how many.

    Images that are held back do not count. The worklist completes only what nothing but images has begun.
    """
    if not settings.IMAGE_COMPLETED_AFTER_MINUTES:
        return 0
    recent = ReceivedImage.objects.filter(received_at__gte=now - LOOKED_BACK, item_id__isnull=False).order_by()
    last = recent.values_list("item_id").annotate(last=Max("received_at"))
    quiet_since = now - timedelta(minutes=settings.IMAGE_COMPLETED_AFTER_MINUTES)
    quiet = list(last.filter(last__lte=quiet_since).values_list("item_id", flat=True))
    completed = 0
    for item_id in filter(None, quiet):
        with transaction.atomic():
            completed += worklist().images_complete(item_id)
    return completed
