"""The worklist's admin pages, one module for each subject. Django's autodiscovery imports this package."""

from django.contrib import admin

from worklist.admin import alarms, exceptions, items, modalities, queries, steps

__all__ = ["alarms", "exceptions", "items", "modalities", "queries", "steps"]

#: The start page shows open wrong-patient alarms, too.
admin.site.index_template = "admin/worklist/index.html"
