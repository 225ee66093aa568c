"""Owns that the admin begins with what needs attention. Django's autodiscovery imports this, behind the worklist's."""

from django.contrib import admin

admin.site.index_template = "admin/dashboard/index.html"
