"""Check what the viewers of the live page may see, for all of their sessions in two queries.

A session counts while it has not expired or been ended, its user is active, and the password is the one it began with.
Every logged-in viewer sees how many women there are; everything else needs a permission.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import constant_time_compare

BACKEND = "django.contrib.auth.backends.ModelBackend"


class PagePermission(StrEnum):
    """A permission that changes the page: what it shows of the women, and which of its links can be followed."""

    NAMES = "worklist.view_patient_data"
    ITEMS = "worklist.view_worklistitem"
    ITEM_ALARMS = "worklist.view_itemalarm"
    EXCEPTIONS = "worklist.view_mppsexception"
    QUERIES = "worklist.view_worklistquery"
    NEW_MODALITIES = "dicom.add_modality"
    ACTIONS = "relay.view_receivedaction"
    IMAGES = "images.view_receivedimage"
    HEARTBEATS = "core.view_heartbeat"


@dataclass(frozen=True)
class ViewerPermissions:
    """What a logged-in viewer may see. Viewers with equal permissions share one variant of the page."""

    permissions: frozenset[PagePermission] = frozenset()
    is_staff: bool = False

    @classmethod
    def of(cls, user: Any) -> "ViewerPermissions":
        """Read the permissions of the user of a request."""
        return cls(frozenset(each for each in PagePermission if user.has_perm(each)), user.is_staff)

    @property
    def sees_names(self) -> bool:
        """Tell whether the women are listed by name, or only counted."""
        return PagePermission.NAMES in self.permissions

    @property
    def sees_accession_numbers(self) -> bool:
        """Tell whether the page shows accession numbers."""
        return PagePermission.ITEMS in self.permissions

    @property
    def opens_items(self) -> bool:
        """Tell whether the page links to worklist items."""
        return self.can_follow(PagePermission.ITEMS)

    def can_follow(self, permission: str) -> bool:
        """Tell whether a link into the admin that needs this permission works."""
        return self.is_staff and permission in self.permissions


def permissions_of_sessions(session_keys: Collection[str]) -> dict[str, ViewerPermissions]:
    """Return the permissions that each session key has now, leaving out sessions that no longer count."""
    sessions = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    decoded = {session.session_key: session.get_decoded() for session in sessions}
    logins = {key: login for key, login in decoded.items() if SESSION_KEY in login}
    accounts: Any = get_user_model().objects
    has = {
        f"has_{each.name}": Exists(accounts.with_perm(each.value, backend=BACKEND).filter(pk=OuterRef("pk")))
        for each in PagePermission
    }
    keys = {login[SESSION_KEY] for login in logins.values()}
    users = {str(user.pk): user for user in accounts.filter(pk__in=keys, is_active=True).annotate(**has)}
    found = {}
    for key, login in logins.items():
        if user := users.get(login[SESSION_KEY]):
            # As Django's `get_user` compares, including fallbacks for secret keys that were replaced.
            hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
            if any(constant_time_compare(login.get(HASH_SESSION_KEY, ""), each) for each in hashes):
                permitted = (each for each in PagePermission if getattr(user, f"has_{each.name}"))
                found[key] = ViewerPermissions(frozenset(permitted), user.is_staff)
    return found
