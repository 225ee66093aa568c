"""Owns who may look: what sessions and their users are worth now, all of them at once, in two queries.

A session is worth nothing once it has expired or been ended, once its user is not active any more or has another
password. Whoever is logged in sees the page; who the women are only with the permission.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import constant_time_compare

SEES_NAMES = "worklist.view_patient_data"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Standing:
    """What somebody who is logged in may see."""

    sees_names: bool


def standings(session_keys: Collection[str]) -> dict[str, Standing]:
    """Session key → what its user may see now; who may not look is left out."""
    logins = {key: login for key, login in _logins(session_keys).items() if SESSION_KEY in login}
    users = {str(user.pk): user for user in _users({login[SESSION_KEY] for login in logins.values()})}
    return {
        key: Standing(users[login[SESSION_KEY]].sees_names)
        for key, login in logins.items()
        if login[SESSION_KEY] in users and _has_this_password(users[login[SESSION_KEY]], login)
    }


def _logins(session_keys: Collection[str]) -> dict[str, dict[str, Any]]:
    sessions = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    return {session.session_key: session.get_decoded() for session in sessions}


def _users(keys: Collection[str]) -> Any:
    """The active ones, each with `sees_names`."""
    users: Any = get_user_model().objects
    permitted = users.with_perm(SEES_NAMES, backend=BACKEND).filter(pk=OuterRef("pk"))
    return users.filter(pk__in=keys, is_active=True).annotate(sees_names=Exists(permitted))


def _has_this_password(user: User, login: dict[str, Any]) -> bool:
    """As Django's own get_user has it, with keys that were replaced."""
    known = login.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(known, each) for each in hashes)
