"""The project as an app: it brings ``migrate`` and the system checks."""

from django.apps import AppConfig
from django.core import checks

from cloudnotes.checks import check_deployment


class CloudNotesConfig(AppConfig):
    name = "cloudnotes"

    def ready(self) -> None:
        checks.register(check_deployment)
