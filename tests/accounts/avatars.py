"""Avatars as tests make, send and look at them."""

import io

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts.models import Avatar

ME = "/api/v1/auth/me"
AVATAR = f"{ME}/avatar"


def picture(colour="red", file_format="PNG", size=(80, 60)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, file_format)
    return file.getvalue()


def put(client, content, name="me.png"):
    upload = SimpleUploadedFile(name, content, "image/png")
    return client.put(AVATAR, {"avatar": upload}, format="multipart")


def path_of(user_shown):
    return user_shown["avatar"].removeprefix("http://testserver")


def colour_of(response):
    red, green, blue = Image.open(io.BytesIO(response.content)).convert("RGB").getpixel((9, 9))
    return max(("red", red), ("green", green), ("blue", blue), key=lambda pair: pair[1])[0]


def keys_of_rows():
    return set(Avatar.objects.values_list("key", flat=True))
