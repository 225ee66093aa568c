"""Owns who may look: what sessions and their users are worth now, all of them at once, in two queries.

A session is worth nothing once it has expired or been ended, once its user is not active any more or has another
password. Whoever is logged in sees how many women there are; everything else only with the permission.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import constant_time_compare

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Right(StrEnum):
    """A permission that makes a difference to the page: who the women are, and where its links may lead."""

    NAMES = "worklist.view_patient_data"
    ITEMS = "worklist.view_worklistitem"
    EXCEPTIONS = "worklist.view_mppsexception"
    QUERIES = "worklist.view_worklistquery"
    NEW_MODALITIES = "dicom.add_modality"
    ACTIONS = "relay.view_receivedaction"
    HEARTBEATS = "core.view_heartbeat"


@dataclass(frozen=True)
class Standing:
    """What somebody who is logged in may see. Those who have the same share one variant of the page."""

    rights: frozenset[Right] = frozenset()
    is_staff: bool = False

    @classmethod
    def of(cls, user: Any) -> "Standing":
        """Of whoever makes a request."""
        return cls(frozenset(right for right in Right if user.has_perm(right)), user.is_staff)

    @property
    def sees_names(self) -> bool:
        """Whether women are listed, or only counted."""
        return Right.NAMES in self.rights

    @property
    def sees_numbers(self) -> bool:
        """Whether accession numbers are told."""
        return Right.ITEMS in self.rights

    def follows(self, right: Right) -> bool:
        """Whether a link into the admin that takes this right is not a dead end."""
        return self.is_staff and right in self.rights


def standings(session_keys: Collection[str]) -> dict[str, Standing]:
    """Session key → what its user may see now; who may not look is left out."""
    logins = {key: login for key, login in _logins(session_keys).items() if SESSION_KEY in login}
    users = {str(user.pk): user for user in _users({login[SESSION_KEY] for login in logins.values()})}
    return {
        key: _standing(users[login[SESSION_KEY]])
        for key, login in logins.items()
        if login[SESSION_KEY] in users and _has_this_password(users[login[SESSION_KEY]], login)
    }


def _logins(session_keys: Collection[str]) -> dict[str, dict[str, Any]]:
    sessions = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    return {session.session_key: session.get_decoded() for session in sessions}


def _users(keys: Collection[str]) -> Any:
    """The active ones, each with whether it has each right."""
    users: Any = get_user_model().objects
    permitted = {right: users.with_perm(right.value, backend=BACKEND).filter(pk=OuterRef("pk")) for right in Right}
    has = {f"has_{right.name}": Exists(query) for right, query in permitted.items()}
    return users.filter(pk__in=keys, is_active=True).annotate(**has)


def _standing(user: Any) -> Standing:
    return Standing(frozenset(right for right in Right if getattr(user, f"has_{right.name}")), user.is_staff)


def _has_this_password(user: User, login: dict[str, Any]) -> bool:
    """As Django's own get_user has it, with keys that were replaced."""
    known = login.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(known, each) for each in hashes)
