"""People of the two groups, logged in, and what they see."""

from django.contrib.auth.models import Group, User
from django.test import Client


def client_of(group: str) -> Client:
    """Somebody of that group, logged in."""
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str, **query: str) -> str:
    """A page that is there."""
    response = client.get(address, query)
    assert response.status_code == 200
    return response.content.decode()
