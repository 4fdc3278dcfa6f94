"""Where the endpoints are."""

from django.urls import path

from bench.subjects.python.django_tasks.api import api

urlpatterns = [path("", api.urls)]
