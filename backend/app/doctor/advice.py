"""What to do about a token that is refused: the usual mistakes, each with its way out."""

from urllib.parse import urlsplit

from app.auth.tokens import HS256
from app.config import Settings
from app.config_values import default_jwks_url
from app.doctor.peek import Peek
from app.local_secret import is_local_secret

_JWE_DOTS = 4
#: The year 2286 in seconds, or April 1970 in milliseconds.
_TOO_LARGE_FOR_SECONDS = 10_000_000_000

_COMPARE_SECRETS = (
    "Both sides need the same BETTER_AUTH_SECRET; compare them, quotes and blanks at the ends included."
)

_CLOCKS = "The clock of whoever signs it is ahead of this machine's: see the line on clocks."
_CLAIM_ADVICE = {
    "aud": "If it is meant for this API, set BETTER_AUTH_AUDIENCE to its aud.",
    "sub": "Let whoever signs it set sub to the user's id.",
    "exp": "Let whoever signs it set exp: seconds since 1970, as a number.",
    "nbf": _CLOCKS,
    "iat": _CLOCKS,
}


def advice(peek: Peek, reason: str, settings: Settings) -> str:
    """Return what to do about a token that was refused for `reason`."""
    return (
        _for_something_else(peek, settings)
        or _for_no_token(peek, settings)
        or _for_sessions(peek, reason, settings)
        or _for_signatures(peek, reason, settings)
        or _for_claims(peek, reason, settings)
        or f"Send {_right_token(settings)}."
    )


def _right_token(settings: Settings) -> str:
    if not settings.better_auth_url:
        return "the token that your front end gets from GET /api/auth/token"
    return (
        f"the token that GET {default_jwks_url(settings.better_auth_url).removesuffix('jwks')}token answers"
    )


def _for_something_else(peek: Peek, settings: Settings) -> str:
    """Better Auth signs other things too, some of them with the same keys."""
    typ, aud = str(peek.header.get("typ", "")), peek.claims.get("aud")
    encrypted = peek.dots == _JWE_DOTS and "enc" in peek.header
    bare_cache = "session" in peek.claims and "sub" not in peek.claims
    if "session-cache" in typ or aud == "better-auth:session-cache" or encrypted or bare_cache:
        return f"This is Better Auth's cookie cache, and no access token: send {_right_token(settings)}."
    if peek.algorithm == HS256 and "email" in peek.claims and "sub" not in peek.claims:
        return f"This is the token of an e-mail's link, and no access token: send {_right_token(settings)}."
    return ""


def _for_no_token(peek: Peek, settings: Settings) -> str:
    if peek.is_a_missing_value:
        return "The page had no token to send: was anybody signed in?"
    if peek.dots:
        return ""
    return (
        "Is it the `token` of the sign-in's body? That one is not signed: send the response header "
        f"set-auth-token, which the bearer() plugin sets. {_sessions_are_off(settings)}"
    ).rstrip()


def _sessions_are_off(settings: Settings) -> str:
    if settings.better_auth_database_url:
        return ""
    return f"For session tokens set BETTER_AUTH_DATABASE_URL; without, send {_right_token(settings)}."


def _for_sessions(peek: Peek, reason: str, settings: Settings) -> str:
    if peek.dots != 1:
        return ""
    if reason == "it expired":
        return "Sign in again."
    if not settings.better_auth_database_url:
        return _sessions_are_off(settings)
    if reason.startswith("its signature"):
        return _COMPARE_SECRETS
    return (
        "Sign in again. If that does not help, BETTER_AUTH_DATABASE_URL is not Better Auth's database, or "
        "Better Auth keeps its sessions elsewhere (secondaryStorage)."
    )


def _for_signatures(peek: Peek, reason: str, settings: Settings) -> str:
    wrong = reason == "its signature does not match its key"
    if peek.algorithm == HS256 and not settings.better_auth_secret:
        return "Set BETTER_AUTH_SECRET to your front end's."
    if (
        peek.algorithm == HS256
        and wrong
        and is_local_secret(settings.better_auth_secret, settings.data_dir / "secret")
    ):
        return "Set BETTER_AUTH_SECRET to your front end's; here it is the local development secret."
    if peek.algorithm == HS256 and wrong:
        return _COMPARE_SECRETS
    if peek.has_published_key and not settings.better_auth_url:
        return (
            "Set BETTER_AUTH_URL to your front end's. The jwt() plugin always signs with a key pair; "
            'jwt({ algorithm: "HS256" }) does nothing.'
        )
    if reason == "its kid names no published key":
        return (
            "It is of another Better Auth (of another environment, say), or of a key that is gone: get a new "
            "one, and see whether BETTER_AUTH_URL is the front end that it comes from."
        )
    return "It was changed or cut off on its way: copy it again." if wrong else ""


def _for_claims(peek: Peek, reason: str, settings: Settings) -> str:
    times = [peek.claims.get(name) for name in ("exp", "iat", "nbf")]
    if any(isinstance(time, int | float) and time > _TOO_LARGE_FOR_SECONDS for time in times):
        return "Its times are in milliseconds, as it seems; let whoever signs it write seconds."
    if reason == "it expired":
        local = "" if settings.production else "; for development: tasks-api token --user alice"
        return f"Get a new one: {_right_token(settings)}{local}."
    claim = reason.partition(" ")[0]
    return _for_issuer(peek, settings) if claim == "iss" else _CLAIM_ADVICE.get(claim, "")


def _for_issuer(peek: Peek, settings: Settings) -> str:
    """Better Auth's `iss` is its baseURL's origin, or the Host header's, or what the plugin is told."""
    found = peek.claims.get("iss")
    if isinstance(found, str) and _same_origin(found, settings.issuer):
        return "It is the same server written differently: set BETTER_AUTH_ISSUER to exactly its iss."
    if peek.claims.get("aud") in settings.audiences:
        return "The jwt() plugin has an issuer of its own, as it seems: set BETTER_AUTH_ISSUER to this iss."
    return (
        "If that iss is your front end, set BETTER_AUTH_URL here to it: the same value on both sides. If it "
        "changes from request to request, the front end has no baseURL and takes the Host header's: set one."
    )


def _same_origin(found: str, expected: str) -> bool:
    """Whether they differ in no more than what stands after the host."""
    try:
        return urlsplit(found)[:2] == urlsplit(expected)[:2]
    except ValueError:
        return False
