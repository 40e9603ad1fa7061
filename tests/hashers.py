"""A quick hasher, so that hundreds of tests can log in, and a hash of the earlier generation."""

from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class QuickBCryptSHA256(BCryptSHA256PasswordHasher):
    rounds = 4


# The password of the cast, hashed by passlib with a salt of raw bytes.
RAW_SALT = "$pbkdf2-sha256$1000$.//.IHJhdyAAIGJ5dGVz$tIoxOOPbKJZpPpJGG8vf/KLOELKt6vx/uGae.VrV0Ro"
