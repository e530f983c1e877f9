# SPDX-License-Identifier: Apache-2.0
"""Settings. What changes lies in one directory, QUICKSTART_DATA/shop."""

import os

DATA = os.path.join(os.environ["QUICKSTART_DATA"], "shop")
with open(os.path.join(DATA, "secret"), encoding="ascii") as file:
    SECRET_KEY = file.read().strip()
DEBUG = False
ALLOWED_HOSTS = ["shop.localhost"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# IMMEDIATE: a transaction waits for its turn when it begins, so that several
# processes never fail with "database is locked" in its middle.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(DATA, "shop.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# httpd serves these itself: see the Alias in httpd.conf.
STATIC_URL = "/static/"
STATIC_ROOT = os.path.join(DATA, "static")
USE_TZ = True
TIME_ZONE = "UTC"
