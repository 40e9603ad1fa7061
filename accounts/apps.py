"""Who people are and how they prove it."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
