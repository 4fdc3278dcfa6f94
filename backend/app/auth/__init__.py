"""From a bearer credential to the user who holds it."""

from app.auth.bearer import bearer_token
from app.auth.claims import ClaimRules, User
from app.auth.jwks import Jwks
from app.auth.sessions import Session, SessionVerifier
from app.auth.sign_in import SignIn
from app.auth.tokens import TokenVerifier
from app.auth.verifier import Verifier

__all__ = [
    "ClaimRules",
    "Jwks",
    "Session",
    "SessionVerifier",
    "SignIn",
    "TokenVerifier",
    "User",
    "Verifier",
    "bearer_token",
]
