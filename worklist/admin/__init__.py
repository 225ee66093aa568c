"""Owns the worklist's pages for people: one module for each subject. Django's autodiscovery imports this package."""

from django.contrib import admin

from worklist.admin import exceptions, items, modalities, queries, steps

__all__ = ["exceptions", "items", "modalities", "queries", "steps"]

#: The start page says, too, that somebody must look at a wrong patient.
admin.site.index_template = "admin/worklist/index.html"
