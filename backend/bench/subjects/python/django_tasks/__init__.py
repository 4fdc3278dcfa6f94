"""django-ninja, on Django's ORM with psycopg and its pool, served by Gunicorn with threads.

After https://django-ninja.dev/tutorial/ and, of https://docs.djangoproject.com/en/stable/,
howto/deployment/wsgi/gunicorn/ and ref/databases/#connection-pool. Django's ORM waits in threads, under
ASGI too, where each wait costs a change of thread beside; so its usual server is the fairer one.
"""
