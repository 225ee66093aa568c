"""Link to pages. An address is looked up when it is shown: that imports every page, and most processes show none."""

from collections.abc import Mapping
from typing import cast

from django.db.models import Model
from django.urls import reverse_lazy


def page_url(name: str, *args: object, query: Mapping[str, str] | None = None) -> str:
    """Return the address of the page that has this name among the URLs."""
    return cast("str", reverse_lazy(name, args=args, query=query))


def admin_url(record: Model) -> str:
    """Return the address of a record's page in the admin."""
    return page_url(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", record.pk)
