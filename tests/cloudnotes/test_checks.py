"""A wrong combination of settings does not start, and says why in one line."""

import os
import subprocess
import sys

import pytest

from tests.servers import ROOT
from tests.waiting import TIMEOUT_SECONDS

pytestmark = pytest.mark.service

GOOD = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "Zb1nQ4x9v7LpT2wR8yK5mJ3hF6dS0aGcUeWiZb1nQ4x9v7LpT2wR8yK5mJ3h",
    "PUBLIC_BASE_URL": "https://notes.example.org",
    "TRUSTED_PROXY": "1",
}


def run(*arguments, **environment):
    kept = {
        name: os.environ[name]
        for name in ("PATH", "ENV_FILE", "DATA_DIR", "HOME")
        if name in os.environ
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True,
        timeout=TIMEOUT_SECONDS,
    )  # fmt: skip


def test_good_settings_pass_check_deploy():
    output = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **GOOD)
    assert output.returncode == 0, output.stderr


SHOW = (
    "-c",
    "from cloudnotes import settings as s; print(s.DATABASE['ENGINE'], s.DATABASE['NAME'], "
    "s.SIMPLE_JWT['ALGORITHM'], s.SIMPLE_JWT['ACCESS_TOKEN_LIFETIME'])",
)
FIRST_GENERATION = {
    "DATABASE_URL": "postgresql+asyncpg://postgres:postgres@localhost:5432/notesdb",
    "JWT_SECRET": GOOD["SECRET_KEY"],
    "JWT_ALGORITHM": "HS512",
    "JWT_EXPIRES_MINUTES": "60",
}


def test_the_environment_of_the_first_generation_is_understood():
    output = run(*SHOW, **FIRST_GENERATION)
    assert output.stdout == "django.db.backends.postgresql notesdb HS512 1:00:00\n", output.stderr
    output = run("manage.py", "check", "--deploy", "--fail-level", "WARNING",
               **GOOD, **FIRST_GENERATION)  # fmt: skip
    assert output.returncode == 0, output.stderr
    ours = {"ALGORITHM": "HS384", "ACCESS_TOKEN_EXPIRE_MINUTES": "15"}
    output = run(*SHOW, **FIRST_GENERATION, **ours)
    assert output.stdout == "django.db.backends.postgresql notesdb HS384 0:15:00\n", output.stderr


def test_a_start_names_what_was_probably_meant_and_no_values(tmp_path):
    file = tmp_path / "env"
    file.write_text("ALLOWED_HOST=of-the-file.example\n")
    settings = {
        "ENV_FILE": str(file),
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/notes.sqlite3",
        "ACCESS_TOKEN_EXPIRES_MINUTES": "4711",
        "JWT_ALGORITHM": "HS512",
        "ALGORITHM": "HS384",
    }
    output = run(*MIGRATE, **{**GOOD, **settings})
    assert output.returncode == 0, output.stderr
    assert (tmp_path / "notes.sqlite3").exists()
    for line in (
        "ACCESS_TOKEN_EXPIRES_MINUTES is not a setting of CloudNotes, and is ignored.",
        "Perhaps ACCESS_TOKEN_EXPIRE_MINUTES is meant.",
        "ALLOWED_HOST is not a setting of CloudNotes, and is ignored.",
        "Perhaps ALLOWED_HOSTS is meant.",
        "JWT_ALGORITHM and ALGORITHM are set to different values, and ALGORITHM is used.",
    ):
        assert line in output.stderr
    assert output.stderr.count("cloudnotes.W01") == 3
    for value in ("of-the-file", "4711", "HS512", "HS384"):
        assert value not in output.stderr


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_other_algorithms_that_the_secret_can_sign_by_pass(algorithm):
    output = run("manage.py", "check", "--deploy", "--fail-level", "WARNING",
               **GOOD, ALGORITHM=algorithm)  # fmt: skip
    assert output.returncode == 0, output.stderr


MIGRATE, WEB = ("manage.py", "migrate", "--no-input"), ("-c", "import cloudnotes.asgi")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DEBUG": "on"}, "DEBUG"),
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "x" * 64}, "SECRET_KEY"),
        (
            {"SECRET_KEY": "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"},
            "SECRET_KEY",
        ),
        ({"JWT_SECRET": "secret"}, "JWT_SECRET"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": ".example.org,*"}, "ALLOWED_HOSTS"),
        ({"PUBLIC_BASE_URL": "", "ALLOWED_HOSTS": "a.example"}, "PUBLIC_BASE_URL"),
        ({"BUCKET_NAME": "b", "AWS_ACCESS_KEY_ID": "k"}, "S3 is half configured"),
        ({"BUCKET_NAME": "b", "AWS_SECRET_ACCESS_KEY": "k"}, "S3 is half configured"),
        ({"AWS_ENDPOINT_URL": "https://s3.example"}, "BUCKET_NAME"),
        ({"AWS_ACCESS_KEY_ID": "k"}, "BUCKET_NAME"),
        ({"ALGORITHM": "RS256"}, "ALGORITHM is not HS256, HS384 or HS512"),
        ({"ALGORITHM": "none"}, "ALGORITHM"),
        ({"ALGORITHM": "hs256"}, "ALGORITHM"),
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT"),
        ({"EMAIL_URL": "consolemail://"}, "EMAIL_URL"),
        ({"EMAIL_URL": "smpt://typo"}, "EMAIL_URL"),
        ({"EMAIL_VERIFICATION": "required"}, "EMAIL_URL"),
        ({"EMAIL_VERIFICATION": "yes"}, "EMAIL_VERIFICATION"),
        ({"STAFF_TWO_FACTOR": "on"}, "STAFF_TWO_FACTOR"),
        ({"DATABASE_URL": "mysql://a:b@c/d"}, "DATABASE_URL"),
    ],
)
def test_it_refuses_to_start_in_one_line(changes, said):
    assert_is_refused(changes, said, MIGRATE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DEBUG": "on"}, "DEBUG"),  # by a check
        ({"DATABASE_URL": "mysql://a:b@c/d"}, "DATABASE_URL"),  # while settings are read
    ],
)
def test_the_web_process_refuses_in_the_same_line(changes, said):
    """What refuses is the same code; where it is called from is what could be forgotten."""
    assert_is_refused(changes, said, WEB)


def assert_is_refused(changes, said, start):
    output = run(*start, **{**GOOD, **changes})
    assert output.returncode != 0
    lines = [line for line in output.stderr.splitlines() if "CloudNotes cannot start" in line]
    assert len(lines) == 1, output.stderr
    assert said in lines[0]
    assert "Traceback" not in output.stderr


def test_railway_needs_a_key_and_a_place_that_lasts(tmp_path):
    railway = {
        "RAILWAY_ENVIRONMENT_NAME": "production",
        "RAILWAY_PUBLIC_DOMAIN": "notes.up.railway.app",
        "SECRET_KEY": GOOD["SECRET_KEY"],
    }
    lasting = {"DATABASE_URL": "postgres://a:b@c/d", "BUCKET_NAME": "b"}
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    for place in (lasting, {"RAILWAY_VOLUME_MOUNT_PATH": str(tmp_path)}):
        output = run(*check, **railway, **place)
        assert output.returncode == 0, output.stderr
    for missing in lasting:
        place = {name: value for name, value in lasting.items() if name != missing}
        output = run(*check, **railway, **place)
        assert "a disk that the next deploy throws away" in output.stderr


def test_the_development_key_is_made_once(tmp_path):
    script = "from cloudnotes import settings; print(settings.SECRET_KEY)"
    keys = {run("-c", script, DATA_DIR=str(tmp_path)).stdout for _ in range(2)}
    assert len(keys) == 1
    assert len(keys.pop()) > 64
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_the_env_file_says_where_the_server_listens(tmp_path):
    script = "import runpy; c = runpy.run_path('gunicorn.conf.py'); print(c['bind'], c['workers'])"
    file = tmp_path / "env"
    file.write_text("PORT=8123\nHOST=127.0.0.9\nWEB_CONCURRENCY=3\n")
    assert run("-c", script, ENV_FILE=str(file)).stdout == "127.0.0.9:8123 3\n"
    output = run("-c", script, ENV_FILE=str(file), PORT="9").stdout
    assert output == "127.0.0.9:9 3\n"
    assert run("-c", script).stdout == "127.0.0.1:8000 2\n"
    assert run("-c", script, **GOOD).stdout in ("[::]:8000 2\n", "0.0.0.0:8000 2\n")
