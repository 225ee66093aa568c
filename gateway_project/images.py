"""Answer what images ask of the worklist and of received actions, as none of these apps knows another."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from core.contract import ActionType, ItemStatus
from images.items import Action, ImageIdentity, Item, NamesSeveralItems, Worklist
from relay.models import ReceivedAction
from worklist.models import WorklistItem
from worklist.performed_step import images
from worklist.performed_step.identity import is_same_patient
from worklist.services.create_test_item import ENDS_AFTER, create_test_item

#: The outcomes of an action that made an item, or found the one that it asks for.
MADE = ("created", "exists")


class WorklistOfTheGateway:
    """The worklist of `images.items`, answered from the worklist's items and the relay's actions."""

    def item_of(self, identity: ImageIdentity) -> Item | None:
        found = images.items_of_image(
            identity.study_instance_uid, identity.accession_numbers, identity.patient_id, identity.study_date
        )
        if len(found) > 1:
            raise NamesSeveralItems(tuple(item.accession_number for item in found))
        return _as_item(found[0]) if found else None

    def item(self, item_id: UUID) -> Item | None:
        return _as_current(WorklistItem.objects.filter(pk=item_id).first())

    def item_of_number(self, accession_number: str) -> Item | None:
        return _as_current(WorklistItem.objects.filter(accession_number=accession_number).first())

    def is_same_patient(self, one: str, other: str) -> bool:
        return is_same_patient(one, other)

    def image_received(self, item_id: UUID, at: datetime) -> None:
        images.image_received(item_id, at)

    def images_complete(self, item_id: UUID) -> bool:
        return images.images_complete(item_id, timezone.now())

    def create_test_item(self, by: str) -> Item:
        return _as_item(create_test_item("", "MG", by))

    def waiting_test_items(self) -> list[Item]:
        sent = ReceivedAction.objects.filter(
            action_type=ActionType.CREATE_TEST_ITEM, outcome="created", received_at__gte=timezone.now() - ENDS_AFTER
        )
        numbers = list(sent.values_list("accession_number", flat=True))
        waiting = WorklistItem.objects.filter(accession_number__in=numbers, is_test=True, status=ItemStatus.SCHEDULED)
        return [_as_item(item) for item in waiting]


WORKLIST: Worklist = WorklistOfTheGateway()


def _as_current(item: WorklistItem | None) -> Item | None:
    return _as_item(item.current()) if item else None


def _as_item(item: WorklistItem) -> Item:
    chain = item.chain()
    action = confirmed_action(item, chain)
    put_back = [each.put_back_at for each in chain if each.put_back_at]
    return Item(
        id=item.pk,
        accession_number=item.accession_number,
        study_instance_uid=item.study_instance_uid,
        patient_id=item.patient_id,
        correlation_id=item.correlation_id,
        is_test=item.is_test,
        action_id=action.id,
        action_day=action.day,
        put_back_at=max(put_back, default=None),
    )


def confirmed_action(item: WorklistItem, chain: Sequence[WorklistItem]) -> Action:
    """Return the newest action for the item's appointment that was answered with success.

    Manage takes images only under an action that it counts as sent or confirmed. The gateway cannot see whether Manage
    has received a reply. But Manage never resends automatically: if a reply is lost, it marks the action as failed, and
    a person sends again. So if no newer action has come, the reply to the latest has arrived; and if a newer one has
    come, that one is right whether or not the earlier reply was lost.
    """
    appointment = Q(appointment_id=item.appointment_id, patient_id=item.patient_id, is_test=False)
    same = WorklistItem.objects.filter(appointment) if item.appointment_id and not item.is_test else None
    items = {each.accession_number for each in (*chain, *(same or ()))}
    actions = ReceivedAction.objects.filter(
        accession_number__in=items,
        action_type__in=(ActionType.CREATE_ITEM, ActionType.CREATE_TEST_ITEM),
        outcome__in=MADE,
        is_final=True,
        action_id__isnull=False,
    )
    newest = actions.order_by("-received_at").values_list("action_id", "received_at").first()
    return Action(newest[0] or "", timezone.localtime(newest[1]).date()) if newest else Action()
