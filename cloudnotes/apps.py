"""The project as an app: it provides ``migrate``, the system checks and the admin's site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.core import checks

from cloudnotes.checks import check_deployment, check_names, check_triggers


class CloudNotesConfig(AppConfig):
    name = "cloudnotes"
    default = True

    def ready(self) -> None:
        checks.register(check_deployment)
        checks.register(check_names)
        checks.register(check_triggers, checks.Tags.database)


class StaffAdminConfig(admin.AdminConfig):
    default = False
    default_site = "accounts.staff.StaffSite"
