"""From a bearer credential to the user who holds it."""

from app.auth.bearer import bearer_token
from app.auth.tokens import TokenVerifier, User

__all__ = ["TokenVerifier", "User", "bearer_token"]
