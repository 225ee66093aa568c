"""People of the two groups, logged in."""

from django.contrib.auth.models import Group, User
from django.test import Client


def client_of(group: str) -> Client:
    """Somebody of that group, logged in."""
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client
