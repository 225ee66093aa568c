"""Grant permissions to the groups `support`, who see no patient data, and `clinic`, who do. Used by migrations."""

from typing import Any

from django.contrib.auth.management import create_permissions


def grant(apps: Any, app_label: str, permissions: dict[str, tuple[str, ...]]) -> None:
    """Give each group permissions of one app, by codename; create the groups that are missing.

    `apps` is the migration's registry. The permissions are created first, as Django creates them only after the last
    migration.
    """
    app_config = apps.get_app_config(app_label)
    app_config.models_module = True  # create_permissions skips an app without one, as the migration's stub is
    create_permissions(app_config, apps=apps, verbosity=0)
    for group_name, codenames in permissions.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=group_name)
        found = apps.get_model("auth", "Permission").objects.filter(
            content_type__app_label=app_label, codename__in=codenames
        )
        group.permissions.add(*found)
