"""bcrypt with few rounds, so that hundreds of tests can log in."""

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class QuickBCryptSHA256(BCryptSHA256PasswordHasher):
    rounds = 4
