"""Users of the two groups, and the pages they see."""

from django.contrib.auth.models import Group, User
from django.test import Client


def client_of(group: str) -> Client:
    """Return the client of a logged-in user of this group."""
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str, **query: str) -> str:
    """Return the text of a page; fail unless its status is 200."""
    response = client.get(address, query)
    assert response.status_code == 200
    return response.content.decode()
