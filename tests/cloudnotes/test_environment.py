"""Names in the environment: aliases, URLs of other frameworks, and names that are nearly ours."""

import os

import pytest
from django.conf import settings

from cloudnotes import environment

READ = settings.SETTING_NAMES
# What is set in a container of Railway and by its PostgreSQL and Redis; in Docker's image of Python
# and by systemd; in a job of GitHub; in a shell; and what other programs and frameworks read.
RAILWAY = """
RAILWAY_PUBLIC_DOMAIN RAILWAY_PRIVATE_DOMAIN RAILWAY_PROJECT_NAME RAILWAY_ENVIRONMENT
RAILWAY_ENVIRONMENT_NAME RAILWAY_ENVIRONMENT_ID RAILWAY_SERVICE_NAME RAILWAY_REPLICA_ID
RAILWAY_DEPLOYMENT_ID RAILWAY_VOLUME_NAME RAILWAY_VOLUME_MOUNT_PATH RAILWAY_STATIC_URL
RAILWAY_DEPLOYMENT_DRAINING_SECONDS RAILWAY_GIT_COMMIT_SHA RAILWAY_BETA_ENABLE_RUNTIME_V2
DATABASE_URL DATABASE_PUBLIC_URL DATABASE_PRIVATE_URL PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
PGDATA POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_URL SSL_CERT_DAYS REDISHOST REDISPORT
REDISUSER REDISPASSWORD REDIS_PASSWORD REDIS_PUBLIC_URL REDIS_AOF_ENABLED NIXPACKS_PLAN_PATH
"""
DOCKER = """
PATH HOSTNAME HOME LANG LC_ALL GPG_KEY PYTHON_VERSION PYTHON_SHA256 PYTHON_PIP_VERSION
PYTHON_SETUPTOOLS_VERSION PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE TERM PWD SHLVL OLDPWD _
DOCKER_HOST KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT_443_TCP_ADDR
DATABASE_SERVICE_HOST DATABASE_PORT REDIS_SERVICE_PORT REDIS_PORT WEB_PORT WEB_SERVICE_HOST
INVOCATION_ID JOURNAL_STREAM STATE_DIRECTORY RUNTIME_DIRECTORY SYSTEMD_EXEC_PID LISTEN_PID
"""
GITHUB = """
CI GITHUB_ACTIONS GITHUB_ACTION_PATH GITHUB_API_URL GITHUB_BASE_REF GITHUB_ENV GITHUB_EVENT_PATH
GITHUB_OUTPUT GITHUB_PATH GITHUB_REF_NAME GITHUB_REPOSITORY GITHUB_SERVER_URL GITHUB_SHA
GITHUB_TOKEN GITHUB_WORKSPACE RUNNER_DEBUG RUNNER_ENVIRONMENT RUNNER_NAME RUNNER_OS RUNNER_TEMP
RUNNER_WORKSPACE AGENT_TOOLSDIRECTORY ImageOS ImageVersion DEPLOYMENT_BASEPATH ANDROID_HOME
JAVA_HOME pythonLocation LD_LIBRARY_PATH ACTIONS_RUNTIME_URL ACTIONS_CACHE_URL
ACTIONS_ID_TOKEN_REQUEST_URL
"""
SHELL = """
USER LOGNAME SHELL MAIL EDITOR PAGER DISPLAY COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION
SSH_AUTH_SOCK SSH_CONNECTION XDG_DATA_DIRS XDG_DATA_HOME XDG_CONFIG_DIRS XDG_RUNTIME_DIR
DBUS_SESSION_BUS_ADDRESS VIRTUAL_ENV VIRTUAL_ENV_PROMPT PYTHONPATH HTTP_PROXY HTTPS_PROXY NO_PROXY
ALL_PROXY http_proxy https_proxy no_proxy MANPATH FPATH CDPATH BASH_ENV DEBUGINFOD_URLS
WSL_DISTRO_NAME INFOPATH
"""
OTHERS = """
AWS_DEFAULT_REGION AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_ROLE_ARN AWS_ACCESS_KEY
AWS_STORAGE_BUCKET_NAME AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_EC2_METADATA_DISABLED AWS_REGIONS
DJANGO_SETTINGS_MODULE GUNICORN_CMD_ARGS SENTRY_DSN SENTRY_ENVIRONMENT LOG_LEVEL NODE_ENV FLASK_ENV
APP_ENV EMAIL_HOST EMAIL_PORT EMAIL_HOST_USER EMAIL_HOST_PASSWORD WEB_MEMORY MALLOC_ARENA_MAX TZ
DYNO RENDER_EXTERNAL_URL HEROKU_APP_NAME FLY_APP_NAME WEBSITE_HOSTNAME MAX_WORKERS
REQUESTS_CA_BUNDLE
"""


@pytest.mark.parametrize("names", [RAILWAY, DOCKER, GITHUB, SHELL, OTHERS])
def test_names_of_others_are_not_reported(names):
    assert environment.near_names(names.split(), READ) == {}


def test_the_environment_of_these_tests_has_none():
    assert environment.near_names(os.environ, READ) == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ACCESS_TOKEN_EXPIRES_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        ("JWT_EXPIRE_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("CORS_ALLOW_ORIGINS", "CORS_ALLOWED_ORIGINS"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("REDIS_URI", "REDIS_URL"),
        ("BUCKETNAME", "BUCKET_NAME"),
        ("S3_BUCKET_NAME", "BUCKET_NAME"),
        ("TRUST_PROXY", "TRUSTED_PROXY"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("RATE_LIMIT", "RATE_LIMITS"),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_reported(name, meant):
    assert environment.near_names(["PATH", name], READ) == {name: meant}


def test_a_key_for_tokens_is_that_of_tokens():
    environ = ["SECRET_KEY", "JWT_SECRET_KEY"]
    assert environment.near_names(environ, READ) == {"JWT_SECRET_KEY": "JWT_SECRET"}


def test_a_name_beside_the_one_that_is_meant_was_not_misspelt():
    """Platforms set DATABASE_URI beside DATABASE_URL."""
    assert environment.near_names(["DATABASE_URL", "DATABASE_URI"], READ) == {}
    names = ["JWT_EXPIRES_MINUTES", "JWT_EXPIRE_MINUTES"]
    assert "ALGORITHM" not in environment.near_names(names, READ).values()


def test_aliases_that_say_something_else_are_reported():
    assert environment.contradictions({"JWT_ALGORITHM": "HS512"}) == {}
    assert environment.contradictions({"JWT_ALGORITHM": "HS512", "ALGORITHM": "HS512"}) == {}
    assert environment.contradictions({"JWT_ALGORITHM": "HS512", "ALGORITHM": "HS384"}) == {
        "JWT_ALGORITHM": "ALGORITHM"
    }


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql+asyncpg://a:b@c:5432/d", "postgresql://a:b@c:5432/d"),
        ("postgresql+psycopg://a:b@c/d", "postgresql://a:b@c/d"),
        ("postgresql+psycopg2://a:b@c/d", "postgresql://a:b@c/d"),
        ("postgres+asyncpg://a:b@c/d?ssl=require", "postgres://a:b@c/d?sslmode=require"),
        ("sqlite+aiosqlite:///./notes.db", "sqlite:///./notes.db"),
        ("sqlite+aiosqlite:////data/notes.db", "sqlite:////data/notes.db"),
        ("sqlite+aiosqlite://", "sqlite://"),
        ("postgres://a:b+asyncpg@c/d?ssl=x", "postgres://a:b+asyncpg@c/d?ssl=x"),
        ("mysql+aiomysql://a:b@c/d", "mysql+aiomysql://a:b@c/d"),
    ],
)
def test_the_driver_of_a_database_url_is_taken_off(url, plain):
    assert environment.plain_database_url(url) == plain
