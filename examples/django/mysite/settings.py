"""Settings of the example site. Whatever depends on the machine comes from the environment."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "an-example-has-no-secrets-change-me-for-anything-else")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")

INSTALLED_APPS = [
    "daphne",  # first, so that `runserver` speaks ASGI and can serve the Channels consumer
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "channels",
    "balances",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
ASGI_APPLICATION = "mysite.asgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "db.sqlite3"),
        # Two processes may share the file: a writer waits for the other instead of failing.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# Tocsin looks for the layer's keys where the layer puts them: database 3 here, prefix "asgi" (the default).
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/3")
LAYERS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}
CHANNEL_LAYER = os.environ.get("CHANNEL_LAYER", "core")
if CHANNEL_LAYER not in LAYERS:
    raise ImproperlyConfigured(f"CHANNEL_LAYER is {CHANNEL_LAYER!r}, and must be one of: {', '.join(LAYERS)}")
CHANNEL_LAYERS = {"default": {"BACKEND": LAYERS[CHANNEL_LAYER], "CONFIG": {"hosts": [REDIS_URL]}}}

# Where the page opens its WebSocket. Empty: this server (the Channels consumer), ws://localhost:8080 is a gateway.
WEBSOCKET_URL = os.environ.get("WEBSOCKET_URL", "")

# Below this, a balance is insufficient and its user is notified.
SUFFICIENT_BALANCE = 20.0

# E-mails are printed. The secret is the one of `escalations:` in tocsin.yaml: "whsec_" and 24 to 64 bytes in Base64.
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
TOCSIN_WEBHOOK_SECRET = os.environ.get("TOCSIN_WEBHOOK_SECRET", "whsec_YW4tZXhhbXBsZS1oYXMtbm8tc2VjcmV0cy1jaGFuZ2UtbWU=")
