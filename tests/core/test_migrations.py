"""The newest migration of each app, and the groups that migrations create."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Group


class TestMigrations:
    @pytest.mark.parametrize("app", ["core", "dicom", "relay", "worklist", "images", "nonprod"])
    def test_max_migration_names_the_newest(self, app: str) -> None:
        newest = max(path.stem for path in Path(app, "migrations").glob("0*.py"))
        assert Path(app, "migrations", "max_migration.txt").read_text().strip() == newest

    @pytest.mark.django_db
    def test_the_groups_differ_in_what_tells_who_somebody_is(self) -> None:
        support, clinic = (
            set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
            for name in ("support", "clinic")
        )
        assert support < clinic
        assert clinic - support == {
            "view_payload",
            "view_patient_data",
            "resolve_mppsexception",
            "dismiss_itemalarm",
            "export_worklist",
            "import_actions",
            "view_picture",
            "decide_image",
        }
        assert {name for name in support if not name.startswith("view_")} == {"reprocess_action", "make_test_item"}

    @pytest.mark.django_db
    def test_no_group_sees_operators_or_whole_data_sets(self) -> None:
        guarded = ("view_operator", "view_data_set")
        assert not Group.objects.filter(permissions__codename__in=guarded).exists()
