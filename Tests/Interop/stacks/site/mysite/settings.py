"""Settings that Django 2.0 to 5.2 understand. What differs between two processes comes from the environment."""

import os

SECRET_KEY = "for-tests-only"
DEBUG = False
# Anywhere else a list of names: Channels 2 cannot read one on Pythons whose urllib was mended in 2021.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "channels",
    "balances.apps.BalancesConfig",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        "OPTIONS": {"timeout": 20},
    }
}
# Tables are made from the models (migrate --run-syncdb): Django 2.0's migrations break on today's SQLite.
MIGRATION_MODULES = {"auth": None, "balances": None, "contenttypes": None, "sessions": None}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True

BACKENDS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}
CONFIG = {"hosts": [os.environ["REDIS_URL"]]}
if "LAYER_PREFIX" in os.environ:
    CONFIG["prefix"] = os.environ["LAYER_PREFIX"]
if "LAYER_KEYS" in os.environ:
    CONFIG["symmetric_encryption_keys"] = os.environ["LAYER_KEYS"].split(",")
if "LAYER_SERIALIZER" in os.environ:  # msgpack or json, from channels_redis 4.2.1 on
    CONFIG["serializer_format"] = os.environ["LAYER_SERIALIZER"]
CHANNEL_LAYERS = {"default": {"BACKEND": BACKENDS[os.environ["LAYER"]], "CONFIG": CONFIG}}

SUFFICIENT_BALANCE = 20.0
