"""Show what needs attention at the top of the admin's index."""

from django.contrib import admin

admin.site.index_template = "admin/dashboard/index.html"
