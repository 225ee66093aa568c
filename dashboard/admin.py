"""Begin the admin with what needs attention. Django's autodiscovery imports this after the worklist's admin."""

from django.contrib import admin

admin.site.index_template = "admin/dashboard/index.html"
