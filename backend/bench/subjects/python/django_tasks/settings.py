"""Django's settings: what an API without pages, sessions and an admin needs."""

import os
from urllib.parse import parse_qs, urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])

DEBUG = False
SECRET_KEY = os.environ["BETTER_AUTH_SECRET"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.subjects.python.django_tasks.urls"
INSTALLED_APPS = ["bench.subjects.python.django_tasks"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/"),
        "USER": _database.username,
        "PASSWORD": _database.password,
        "HOST": parse_qs(_database.query).get("host", [_database.hostname])[0],
        "PORT": _database.port,
        "OPTIONS": {"pool": {"min_size": 10, "max_size": 10}},
    }
}
