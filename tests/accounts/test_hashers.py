"""Hashes of the earlier generation: which are adopted, and that those verify."""

import hashlib

import bcrypt
import pytest
from django.contrib.auth.hashers import (
    check_password,
    get_hasher,
    identify_hasher,
    make_password,
)
from hypothesis import given
from hypothesis import strategies as st

from accounts.hashers import PasslibPBKDF2Hasher, adopt
from tests.conftest import PASSWORD
from tests.hashers import RAW_SALT

# From passlib's documentation, and by passlib 1.7.4 with a salt of b"\xfb\xff\xfe raw \x00 bytes"
# and with none.
DOCUMENTED = (
    "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"
)
NO_SALT = "$pbkdf2-sha256$1$$2qJXLD6i.hGqErzkNuBeAbHaygkv5YpLBJM.8WDX22Q"
ARGON2 = make_password(PASSWORD, hasher="argon2")


def plain(version="2b"):
    salt = bcrypt.gensalt(4).replace(b"2b", version.encode())
    return bcrypt.hashpw(PASSWORD.encode(), salt).decode()


@pytest.mark.parametrize(
    ("hashed", "password"),
    [(DOCUMENTED, "password"), (RAW_SALT, PASSWORD), (NO_SALT, "x")],
    ids=["documented", "raw salt", "no salt"],
)
def test_what_passlib_wrote_verifies(hashed, password):
    ours = adopt(hashed)
    assert ours == "passlib_pbkdf2_sha256" + hashed.removeprefix("$pbkdf2-sha256")
    assert check_password(password, ours)
    assert not check_password(password + "x", ours)


@pytest.mark.parametrize(
    "hashed",
    [
        plain("2a"),
        plain("2b"),
        plain("2y"),
        "bcrypt$" + plain(),
        make_password(PASSWORD, hasher="bcrypt_sha256"),
        make_password(PASSWORD, hasher="pbkdf2_sha256"),
        ARGON2,
        ARGON2.removeprefix("argon2"),
        RAW_SALT,
        adopt(RAW_SALT),
    ],
    ids=[
        "2a",
        "2b",
        "2y",
        "bcrypt",
        "bcrypt_sha256",
        "pbkdf2_sha256",
        "argon2",
        "argon2 of others",
        "passlib",
        "passlib, adopted",
    ],
)
def test_every_known_form_is_adopted_and_adopting_again_changes_nothing(hashed):
    ours = adopt(hashed)
    assert ours is not None
    assert adopt(ours) == ours
    assert check_password(PASSWORD, ours)
    assert not check_password("wrong", ours)
    assert identify_hasher(ours).safe_summary(ours)  # the admin's page shows it


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "!",
        "plain text",
        PASSWORD,
        hashlib.md5(b"x").hexdigest(),
        "md5$salt$" + hashlib.md5(b"saltx").hexdigest(),
        "$pbkdf2$1000$c2FsdA$" + "A" * 27,
        "$pbkdf2-sha512$1000$c2FsdA$" + "A" * 86,
        "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2",
        "$5$rounds=1000$salt$hash",
        "$2x" + plain()[3:],
        plain()[:-1],
        plain() + "\n",
        plain().replace("$04$", "$03$"),
        plain()[:28] + "A" + plain()[29:],  # bits that no salt has: bcrypt raises ValueError
        "bcrypt_sha256$" + plain()[1:],
        RAW_SALT.replace("$1000$", "$0$"),
        RAW_SALT.replace("$1000$", "$1000$A"),  # no base64 is that long
        RAW_SALT.replace("$1000$", "$١$"),
        RAW_SALT[:-1],
        RAW_SALT.replace("$.//.", "$" + ".//." * 20),  # longer than the column
        RAW_SALT.replace("$.//.", "$é//."),
        "pbkdf2_sha256$1000$$" + "A" * 43 + "=",
        "pbkdf2_sha256$x$salt$" + "A" * 43 + "=",
        "argon2$argon2x$v=19$m=8,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWFhYQ",
    ],
    ids=[
        "empty",
        "unusable",
        "plain text",
        "the password",
        "md5 of hashlib",
        "md5 of Django",
        "pbkdf2 with SHA-1",
        "pbkdf2 with SHA-512",
        "bcrypt-sha256 of passlib",
        "SHA-256 crypt",
        "2x",
        "bcrypt cut",
        "bcrypt and a line end",
        "bcrypt of cost 3",
        "bcrypt with bits that no salt has",
        "bcrypt_sha256 without a dollar sign",
        "passlib of 0 rounds",
        "passlib, no base64",
        "passlib, other digits",
        "passlib cut",
        "passlib longer than the column",
        "passlib, no ASCII",
        "pbkdf2_sha256 without a salt",
        "pbkdf2_sha256 of x rounds",
        "argon2x",
    ],
)
def test_what_would_not_verify_is_not_adopted(hashed):
    assert adopt(hashed) is None


@pytest.mark.parametrize(
    ("hashed", "dear"),
    [
        (RAW_SALT.replace("$1000$", "$2000000$"), RAW_SALT.replace("$1000$", "$2000001$")),
        (
            f"pbkdf2_sha256$2000000$salt${'A' * 43}=",
            f"pbkdf2_sha256$2000001$salt${'A' * 43}=",
        ),
        (plain().replace("$04$", "$14$"), plain().replace("$04$", "$15$")),
        (ARGON2, ARGON2.replace("m=102400", "m=4194304")),
        (ARGON2, ARGON2.replace("t=2", "t=17")),
        (ARGON2, ARGON2.replace("p=8", "p=17")),
    ],
    ids=[
        "passlib",
        "pbkdf2_sha256",
        "bcrypt",
        "memory of argon2",
        "time of argon2",
        "threads of argon2",
    ],
)
def test_a_hash_that_would_hang_a_log_in_is_not_adopted(hashed, dear):
    assert adopt(hashed) is not None
    assert hashed != dear
    assert adopt(dear) is None


@given(st.text() | st.from_regex(r"\A\$(2[aby]|pbkdf2-sha256|argon2id?)\$[!-~]{0,90}\Z"))
def test_what_is_adopted_never_breaks_a_log_in(hashed):
    ours = adopt(hashed)
    assert ours is None or not check_password("wrong", ours)


def test_the_hasher_can_make_hashes_too_and_always_wants_to_be_replaced():
    hasher = get_hasher("passlib_pbkdf2_sha256")
    assert isinstance(hasher, PasslibPBKDF2Hasher)
    made = hasher.encode(PASSWORD, hasher.salt(), 10)
    assert adopt(made) == made
    assert hasher.verify(PASSWORD, made)
    assert hasher.must_update(made)


def test_harden_runtime_makes_up_for_few_rounds(monkeypatch):
    monkeypatch.setattr(PasslibPBKDF2Hasher, "iterations", 1500)
    rounds = []
    real = hashlib.pbkdf2_hmac

    def counted(digest, password, salt, iterations):
        rounds.append(iterations)
        return real(digest, password, salt, iterations)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    PasslibPBKDF2Hasher().harden_runtime(PASSWORD, adopt(RAW_SALT))
    assert rounds == [500]
