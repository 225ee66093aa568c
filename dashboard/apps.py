"""Register what the dashboard knows of that needs attention."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """The live page, the admin index, the timelines and the metrics."""

    name = "dashboard"

    def ready(self) -> None:
        from core.concerns import register
        from dashboard.concerns import daemon_concerns, modality_concerns

        register(daemon_concerns)
        register(modality_concerns)
