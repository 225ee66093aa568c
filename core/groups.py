"""Owns the two groups of users: `support`, who see no patient data, and `clinic`, who do. For migrations."""

from typing import Any

from django.contrib.auth.management import create_permissions


def grant(apps: Any, app_label: str, permissions: dict[str, tuple[str, ...]]) -> None:
    """Give each group the permissions of one app by codename, making the group where it is not there yet.

    `apps` is a migration's registry. The permissions are made first: Django makes them only after all migrations.
    """
    app_config = apps.get_app_config(app_label)
    app_config.models_module = True  # a migration's stub has none, and create_permissions passes those over
    create_permissions(app_config, apps=apps, verbosity=0)
    for group_name, codenames in permissions.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=group_name)
        found = apps.get_model("auth", "Permission").objects.filter(
            content_type__app_label=app_label, codename__in=codenames
        )
        group.permissions.add(*found)
