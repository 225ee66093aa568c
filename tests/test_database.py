"""The test database after a test that commits."""

import pytest
from django.contrib.auth.models import Group

from tests.database import MigratedDatabase
from tests.factories import create
from tests.users import client_of
from worklist.models import WorklistItem


@pytest.mark.django_db(transaction=True)
class TestAMigratedDatabase:
    def test_is_restored_with_the_groups_and_their_permissions_and_nothing_else(self) -> None:
        database = MigratedDatabase()
        before = dict(Group.objects.values_list("name", "pk"))
        permissions = set(Group.objects.get(name="clinic").permissions.all())
        create()
        client_of("support")
        Group.objects.get(name="clinic").permissions.clear()
        Group.objects.get(name="support").delete()
        Group.objects.create(name="another")
        database.restore()
        assert dict(Group.objects.values_list("name", "pk")) == before
        assert set(Group.objects.get(name="clinic").permissions.all()) == permissions
        assert not WorklistItem.objects.exists()
