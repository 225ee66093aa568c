"""Say what the number of a query's items counts: those that were delivered, not all that matched."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("worklist", "0023_images")]

    operations = [migrations.RenameField("worklistquery", "matched", "delivered")]
