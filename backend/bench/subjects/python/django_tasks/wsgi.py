"""What the server asks."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.subjects.python.django_tasks.settings")
application = get_wsgi_application()
