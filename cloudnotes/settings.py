"""All settings, only from the environment, the most important ones first.

Nothing set gives the embedded default: SQLite and files under ``DATA_DIR``. ``DATABASE_URL``,
``REDIS_URL`` and ``BUCKET_NAME`` switch in PostgreSQL, Redis and S3. Every name read here is
described in ``.env.example``. Wrong combinations are refused by ``cloudnotes.checks``.
"""

import hashlib
import hmac
import socket
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from corsheaders.defaults import default_headers

from cloudnotes import development, environment, storage_urls

BASE_DIR = Path(__file__).resolve().parent.parent

env = environment.Environment()
env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
SETTING_NAMES = env.names  # that are read here, for cloudnotes.checks

# Where this runs. Railway and the container image set "production"; a laptop sets nothing.

RAILWAY_DOMAIN = env.str("RAILWAY_PUBLIC_DOMAIN", default="")
ON_RAILWAY = bool(env.str("RAILWAY_ENVIRONMENT_NAME", default=""))
ENVIRONMENT = env.str("ENVIRONMENT", default="production" if ON_RAILWAY else "development")
IN_PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", default=False)

PORT = env.int("PORT", default=8000)
# A laptop listens on loopback; a deploy listens on all addresses, IPv6 and IPv4.
EVERY_ADDRESS = "[::]" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - see above
HOST = env.str("HOST", default=EVERY_ADDRESS if IN_PRODUCTION else "127.0.0.1")
RAILWAY_VOLUME = env.str("RAILWAY_VOLUME_MOUNT_PATH", default="")
DATA_DIR = Path(env.str("DATA_DIR", default=RAILWAY_VOLUME or str(BASE_DIR / "data"))).resolve()
PUBLIC_BASE_URL = env.str(
    "PUBLIC_BASE_URL",
    default=f"https://{RAILWAY_DOMAIN}"
    if RAILWAY_DOMAIN
    else ""
    if IN_PRODUCTION
    else f"http://127.0.0.1:{PORT}",
).rstrip("/")
_public = urlsplit(PUBLIC_BASE_URL)
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS",
    default=([_public.hostname] if _public.hostname else [])
    + ([] if IN_PRODUCTION else ["127.0.0.1", "localhost", "[::1]"]),
)

# Secrets.

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    # In production it stops the start (system check), but not a build of an image (collectstatic).
    SECRET_KEY = "missing" if IN_PRODUCTION else development.secret_key(DATA_DIR)
# Earlier keys, as long as something that was signed with them is still valid.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
JWT_SECRET = env.str("JWT_SECRET", default="")
if not JWT_SECRET:
    JWT_SECRET = hmac.new(SECRET_KEY.encode(), b"cloudnotes.jwt", hashlib.sha256).hexdigest()

# Background jobs, run by `manage.py worker`, or in the web processes if RUN_WORKER is set. The
# number is the pause in seconds between two runs; a job that returns True runs again at once.

RUN_WORKER = env.bool("RUN_WORKER", default=not IN_PRODUCTION)
WORKER_JOBS = {
    "mail": ("accounts.actions.mails.send_due", 1),
    "objects": ("notes.files.objects.sweep_due", 300),
    "uploads": ("notes.actions.uploads.verify_due", 2),
    "storage": ("notes.files.reconciling.reconcile_due", 86400),
    "old uploads": ("notes.actions.uploads.forget_due", 600),
    "thumbnails": ("notes.files.thumbnails.make_due", 2),
    "trash": ("notes.actions.notes.purge_due", 600),
    "search": ("notes.actions.indexing.index_due", 10),
    "revisions": ("notes.actions.revisions.thin_due", 600),
    "old mails": ("accounts.actions.mails.forget_old", 3600),
    "old limits": ("accounts.limits.forget_old", 600),
    "old keys": ("accounts.idempotency.forget_old", 3600),
}
# In /health, a word for each.
HEALTH_CHECKS = {
    "mail": "accounts.actions.mails.get_health",
    "deletions": "notes.files.objects.get_health",
}

# Processes. One worker process has WEB_THREADS threads for requests whose body has arrived, as many
# for bodies that are still arriving and as many for requests that may wait for the file storage.
# The database pool is exactly as large. On PostgreSQL the event loop opens up to twice WEB_THREADS
# connections more for the fast path.

WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", default=2)
WEB_THREADS = env.int("WEB_THREADS", default=4)
MAX_JSON_BYTES = 8 * 2**20  # 1 MiB of note text may need six bytes a character when escaped
MAX_FILE_BYTES = env.int("MAX_FILE_BYTES", default=100 * 2**20)
# Of files that clients upload to the bucket directly: S3 copies no larger object in one call.
MAX_DIRECT_FILE_BYTES = env.int("MAX_DIRECT_FILE_BYTES", default=5 * 2**30)
# Of all files of an account together; equal files count once.
MAX_ACCOUNT_BYTES = env.int("MAX_ACCOUNT_BYTES", default=10 * 2**30)
MAX_ACCOUNT_FILES = env.int("MAX_ACCOUNT_FILES", default=10_000)
MAX_VCARD_BYTES = 20 * 2**20  # a file of vCards to import: most of it is pictures
MAX_BODY_BYTES = max(MAX_FILE_BYTES, MAX_VCARD_BYTES, MAX_JSON_BYTES) + 2**20  # with a form around
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_JSON_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
DATA_UPLOAD_MAX_NUMBER_FILES = 10

# Database.

DATABASE_URL = env.str("DATABASE_URL", default="") or f"sqlite:///{DATA_DIR}/cloudnotes.sqlite3"
DATABASE = env.db_url_config(environment.plain_database_url(DATABASE_URL))
# Off behind PgBouncer, which sends each statement over any free connection.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", default=True)
DATABASES = {"default": DATABASE}
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    DATABASE["ENGINE"] = "cloudnotes.db.sqlite"
    # Deferred transactions fail at once when two of them want to write; an immediate one waits.
    # `synchronous` stays FULL, SQLite's default: a commit that was answered survives a power cut.
    DATABASE["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 8}
    DATABASE["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL;"
elif DATABASE["ENGINE"] != "django.db.backends.postgresql":
    # Here and not in the checks: Django loads the engine before it runs checks.
    raise SystemExit("CloudNotes cannot start: DATABASE_URL is not postgres://… or sqlite:///…")
else:
    DATABASE["CONN_HEALTH_CHECKS"] = True
    DATABASE["OPTIONS"] = {
        **DATABASE.get("OPTIONS", {}),
        # After a few executions, a connection neither parses nor plans a statement again.
        "server_side_binding": PREPARED_STATEMENTS,
        "prepare_threshold": 5 if PREPARED_STATEMENTS else None,
        # A dead network is detected as fast as a dead server.
        "connect_timeout": 3,
        "tcp_user_timeout": 8000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "options": "-c statement_timeout=8000 -c lock_timeout=5000"
        " -c idle_in_transaction_session_timeout=30000",
        # The pool retries to connect with growing pauses, for up to reconnect_timeout seconds.
        "pool": {
            "min_size": 1,
            "max_size": 3 * WEB_THREADS + (len(WORKER_JOBS) if RUN_WORKER else 0),
            "timeout": 5,
            "reconnect_timeout": 4,
        },
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis: optional; every use has a fallback, so a dead Redis costs at most these 0.2 s.

REDIS_URL = env.str("REDIS_URL", default="")
REDIS_TIMEOUT_SECONDS = 0.2

# Files.

BUCKET_NAME = env.str("BUCKET_NAME", default="")
AWS_REGION = env.str("AWS_REGION", default="")
AWS_ACCESS_KEY_ID = env.str("AWS_ACCESS_KEY_ID", default="")
AWS_SECRET_ACCESS_KEY = env.str("AWS_SECRET_ACCESS_KEY", default="")
AWS_ENDPOINT_URL = env.str("AWS_ENDPOINT_URL", default="")
AWS_S3_ADDRESSING_STYLE = env.str(
    "AWS_S3_ADDRESSING_STYLE", default="path" if AWS_ENDPOINT_URL else "auto"
)
FILE_LINK_SECONDS = 300
STORAGES = {
    "default": {
        "BACKEND": "notes.files.s3.BucketStorage",
        "OPTIONS": {
            "bucket_name": BUCKET_NAME,
            "region_name": AWS_REGION or None,
            "access_key": AWS_ACCESS_KEY_ID or None,
            "secret_key": AWS_SECRET_ACCESS_KEY or None,
            "endpoint_url": AWS_ENDPOINT_URL or None,
            "addressing_style": AWS_S3_ADDRESSING_STYLE,
            "querystring_expire": FILE_LINK_SECONDS,
        },
    }
    if BUCKET_NAME
    else {
        "BACKEND": "notes.files.filesystem.FolderStorage",
        "OPTIONS": {"location": str(DATA_DIR / "files")},
    },
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IN_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}
# The second storage while `manage.py move_storage` moves files between the two.
OTHER_STORAGE = env.str("OTHER_STORAGE", default="")
if OTHER_STORAGE:
    STORAGES["other"] = storage_urls.read(OTHER_STORAGE, AWS_REGION)
STATIC_URL = "/static/"
# A laptop serves them from the installed packages; a deploy collects them first.
STATIC_ROOT = BASE_DIR / "staticfiles" if IN_PRODUCTION else None
WHITENOISE_USE_FINDERS = not IN_PRODUCTION

# Accounts and tokens.

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "accounts.hashers.PlainBCryptPasswordHasher",
    "accounts.hashers.PasslibPBKDF2Hasher",
]
SIMPLE_JWT = {
    "ALGORITHM": env.str("ALGORITHM", default=env.str("JWT_ALGORITHM", default="HS256")),
    "SIGNING_KEY": JWT_SECRET,
    "ACCESS_TOKEN_LIFETIME": timedelta(
        minutes=env.int(
            "ACCESS_TOKEN_EXPIRE_MINUTES", default=env.int("JWT_EXPIRES_MINUTES", default=30)
        )
    ),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=30),
    "LEEWAY": timedelta(seconds=30),
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "type",
}
SESSION_ABSOLUTE_LIFETIME = timedelta(days=365)
STAFF_TWO_FACTOR = env.str("STAFF_TWO_FACTOR", default="optional")
# The module with the files of accounts; it implements accounts.file_service.FileService.
FILE_SERVICE = "notes.actions.file_service"

# Mail. Without EMAIL_URL a laptop prints its mails; a deploy keeps them in the queue for a day.

EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", default="optional")
EMAIL_URL = env.str("EMAIL_URL", default="" if IN_PRODUCTION else "consolemail://")
EMAIL_IS_ON = bool(EMAIL_URL)
if EMAIL_IS_ON:
    if urlsplit(EMAIL_URL).scheme not in env.EMAIL_SCHEMES:
        raise SystemExit(
            "CloudNotes cannot start: EMAIL_URL is not smtp+tls://…, smtp+ssl://…, smtp://…, "
            "filemail:///… or consolemail://"
        )
    vars().update(env.email_url_config(EMAIL_URL))
EMAIL_TIMEOUT = 10
EMAIL_USE_LOCALTIME = False
DEFAULT_FROM_EMAIL = (
    env.str("EMAIL_FROM", default="") or f"CloudNotes <no-reply@{_public.hostname or 'localhost'}>"
)

# Limits by scope: the key of a count, the maximum, and the window in seconds. A network is a /24 or
# a /64; "account+network" counts an account per network, so that nobody locks others out.

RATE_LIMITS = env.bool("RATE_LIMITS", default=True)
LIMITS = {
    # The API in general, counted on Redis or by process.
    "api": [("account", 3000, 60)],
    "anonymous": [("network", 600, 60)],
    # Against guessing, flooding and filling up: exact, counted in the database.
    "register": [("network", 30, 3600)],
    "login": [("account+network", 10, 300), ("network", 100, 300)],
    "verify": [("account+network", 10, 900), ("network", 100, 900)],
    "resend": [("account+network", 5, 900), ("network", 50, 900)],
    "forgot": [("account+network", 5, 900), ("network", 50, 900)],
    "reset": [("account+network", 10, 900), ("network", 100, 900)],
    "password": [("account+network", 10, 900)],
    # Only clients with the password get this far, so the second rule counts over all networks.
    "second_factor": [("account+network", 10, 3600), ("account", 50, 86400)],
    "token_creation": [("account+network", 10, 3600)],
    "email_change": [("account+network", 5, 3600)],
    "admin_login": [("account+network", 10, 300), ("network", 50, 300)],
}

# Applications and the middleware of a request.

INSTALLED_APPS = [
    "cloudnotes",
    "accounts",
    "notes",
    "cloudnotes.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "cloudnotes.api.request_id.RequestIdMiddleware",
    "cloudnotes.api.first_generation.FirstGenerationMiddleware",
    "cloudnotes.api.parsers.UTF8Middleware",
    "cloudnotes.api.headers.HeadersMiddleware",
    "cloudnotes.api.redirects.RedirectsMiddleware",
    "cloudnotes.api.parsers.ContentEncodingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "cloudnotes.health.HealthMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "cloudnotes.api.throttling.RateLimitMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "cloudnotes.api.errors.UnavailableMiddleware",
    "accounts.idempotency.IdempotencyMiddleware",
]
ROOT_URLCONF = "cloudnotes.urls"
WSGI_APPLICATION = "cloudnotes.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# Ordinary requests to these views skip all of the above (cloudnotes.fastpath.views).
FAST_PATH = env.bool("FAST_PATH", default=env.bool("FAST_ROAD", default=True))
FAST_PATH_AUTHENTICATOR = "accounts.authentication.recognize"
FAST_PATH_VIEWS = ["notes.api.fast.VIEWS", "notes.api.fast_search.VIEWS"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "accounts.permissions.HasScope",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["cloudnotes.api.throttling.APIThrottle"],
    "DEFAULT_PARSER_CLASSES": ["cloudnotes.api.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "cloudnotes.api.parsers.JSONAlways",
    "DEFAULT_PAGINATION_CLASS": "cloudnotes.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "cloudnotes.api.schema.APISchema",
    "EXCEPTION_HANDLER": "cloudnotes.api.errors.exception_handler",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CloudNotes",
    "DESCRIPTION": "A notes backend that loses no write. Errors are RFC 9457 problems.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENABLE_DJANGO_DEPLOY_CHECK": True,
    "PREPROCESSING_HOOKS": ["cloudnotes.api.schema.canonical_only"],
    "POSTPROCESSING_HOOKS": ["cloudnotes.api.schema.suit_generators"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "validatorUrl": None},
}

# Browsers: bearer tokens on the API, cookies only in the admin.

CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = [
    *default_headers,
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-range",
    "prefer",
    "range",
]
CORS_EXPOSE_HEADERS = [
    "X-Request-Id",
    "Location",
    "ETag",
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "Idempotent-Replayed",
    "Preference-Applied",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "RateLimit-Policy",
]
TRUSTED_PROXY = env.bool("TRUSTED_PROXY", default=ON_RAILWAY)
if TRUSTED_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
_over_tls = _public.scheme == "https"
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL] if PUBLIC_BASE_URL else []
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = _over_tls
SECURE_SSL_REDIRECT = _over_tls and TRUSTED_PROXY
SECURE_REDIRECT_EXEMPT = ["^health(/|$)"]  # probes use no TLS and expect a plain 200
CSRF_FAILURE_VIEW = "cloudnotes.api.errors.csrf_failure"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _over_tls else 0
SILENCED_SYSTEM_CHECKS = [
    # HSTS for subdomains and preloading: CloudNotes decides for its own host only.
    "security.W005",
    "security.W021",
]
# Sends no referrer to other sites. The stricter "no-referrer" makes browsers send "Origin: null"
# with the admin's own forms, which its CSRF check must refuse.
SECURE_REFERRER_POLICY = "same-origin"

# Logs: JSON lines in production, text on a laptop; never a body, a query string or a token.

REQUEST_LOG = env.bool("REQUEST_LOG", default=True)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "cloudnotes.api.request_id.RequestIdFilter"}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "{asctime}{levelname}{name}{message}{request_id}",
            "style": "{",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        },
        "text": {"format": "{levelname:.1s} {name}: {message} [{request_id}]", "style": "{"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["request_id"],
            "formatter": env.str("LOG_FORMAT", default="json" if IN_PRODUCTION else "text"),
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "django.request": {"level": "ERROR"},
        # Scanners send any Host; the response is 400 and the request log has a line of it.
        "django.security.DisallowedHost": {"handlers": [], "level": "CRITICAL"},
        "botocore": {"level": "WARNING"},
    },
}
