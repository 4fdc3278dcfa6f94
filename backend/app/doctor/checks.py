"""The checks of everything but keys and tokens: database, schema, claims, secret, sessions, clocks."""

from email.utils import parsedate_to_datetime

from app import embedded
from app.auth.claims import LEEWAY_SECONDS
from app.config import EXAMPLE_SECRET, Settings
from app.database_url import Target
from app.doctor.causes import Cause, cause_of, in_words
from app.doctor.findings import Finding, duration, ok, problem, shown, unchecked
from app.doctor.subject import Answer, Document, Subject
from app.errors import ConfigurationError, SignInUnavailable, Unavailable
from app.local_secret import is_local_secret
from app.migrations import newest_revision, refuse_old_schema
from app.queries.sessions import Sessions

#: Better Auth's session tokens have 32 characters, and none of them is a blank.
_NOBODYS_TOKEN = "no session"  # noqa: S105 - it is none

_CLOCK_SECONDS = 5

#: What to do about a database that can't be asked; {url} is the setting that names it.
_DATABASE_ADVICE = {
    Cause.REFUSED: "Is PostgreSQL running there? Correct the host and the port in {url}.",
    Cause.UNKNOWN_HOST: "Correct the host in {url}.",
    Cause.TIMEOUT: "Does a firewall stand between, or does it sleep? Try again; DATABASE_TIMEOUT is how long "
    "it may take.",
    Cause.CERTIFICATE: "Name its authority with sslrootcert in {url}.",
    Cause.TLS: "If the way to it is safe without, write sslmode=disable into {url}.",
    Cause.LOGIN: "Correct the user and the password in {url}; write characters like @ and / as %40 and %2F.",
    Cause.NO_DATABASE: "Create it, or correct its name in {url}.",
    Cause.FULL: "Lower DATABASE_POOL_SIZE or WORKERS, or raise its limit.",
    Cause.BUSY: "Try again in a moment.",
    Cause.NO_TABLE: "Run Better Auth's own migrations, or correct {url}: it must be the database (and the "
    "search_path) of Better Auth's table session.",
    Cause.NO_COLUMN: "The table session must have the columns token, userId and expiresAt.",
    Cause.NO_RIGHT: "Let the user of {url} read the table.",
}


async def database(subject: Subject) -> Finding:
    """Ask whether it is there, and how long one round trip takes."""
    where = _where(subject.settings)
    answer = await subject.answer()
    if isinstance(answer, Exception):
        return problem(f"{where} can't be reached: {_why(answer, 'DATABASE_URL')}")
    return ok(f"{where} answers in {answer.seconds * 1000:.1f} ms")


async def schema(subject: Subject) -> Finding:
    """Compare it with the one that this version was written for."""
    if isinstance(await subject.answer(), Exception):
        return unchecked("not checked: the database can't be reached")
    settings = subject.settings
    url = settings.database_url or embedded.url(settings.data_dir)
    try:
        found = await subject.parts.database.schema_revision()
        await refuse_old_schema(url, settings)
    except Unavailable as error:
        return problem(f"its revision can't be read: {_why(error, 'DATABASE_URL')}")
    except ConfigurationError as error:
        if settings.database_url:
            return problem(f"behind: {str(error).removeprefix('DATABASE_URL: ')}")
        return ok("behind; `tasks-api serve` or `tasks-api migrate` brings the embedded database up to date")
    if found == newest_revision():
        return ok(f"up to date, at {found}")
    return ok(
        f"ahead, at {shown(found)}: a newer version has migrated it, which is fine while it is rolled out"
    )


async def claims(subject: Subject) -> Finding:
    """Show what tokens of the jwt() plugin must say of themselves."""
    settings = subject.settings
    if not settings.better_auth_url:
        return unchecked("issuer and audience are asked of tokens of the jwt() plugin only")
    audiences = " or ".join(map(shown, sorted(settings.audiences)))
    return ok(f"tokens of the jwt() plugin must have iss {shown(settings.issuer)} and aud {audiences}")


async def secret(subject: Subject) -> Finding:
    """See whether there is one, and whether everybody knows it."""
    settings = subject.settings
    if not settings.better_auth_secret:
        return unchecked("no tokens signed HS256 are accepted; BETTER_AUTH_SECRET would be the setting")
    if settings.better_auth_secret == EXAMPLE_SECRET:
        return problem("BETTER_AUTH_SECRET is the example's, which everybody knows: set your front end's")
    if is_local_secret(settings.better_auth_secret, settings.data_dir / "secret"):
        return ok(
            "the local development secret, with which `tasks-api token` signs; for HS256 tokens of your "
            "front end set BETTER_AUTH_SECRET to its own"
        )
    return ok("BETTER_AUTH_SECRET is set: tokens that are signed HS256 with it are accepted")


async def sessions(subject: Subject) -> Finding:
    """Read Better Auth's table as for a session token, by one that nobody has."""
    own = subject.parts.session_database
    if own is None:
        return unchecked("no session tokens are accepted; BETTER_AUTH_DATABASE_URL would be the setting")
    if own is subject.parts.database and isinstance(await subject.answer(), Exception):
        return unchecked("not checked: the database can't be reached")
    try:
        await Sessions(own).find(_NOBODYS_TOKEN)
    except SignInUnavailable as error:
        return problem(f"Better Auth's sessions can't be read: {_why(error, 'BETTER_AUTH_DATABASE_URL')}")
    return ok("Better Auth's table session can be read")


async def clock(subject: Subject) -> Finding:
    """Compare this machine's clock with that of the front end, which signs, and that of the database."""
    ahead: dict[str, float] = {}
    document, answer = await subject.document(), await subject.answer()
    if isinstance(document, Document) and (date := _date(document)) is not None:
        ahead["the front end's"] = date - document.came_at
    if isinstance(answer, Answer):
        ahead["the database's"] = answer.ahead
    if not ahead:
        return unchecked("not checked: there is no other clock to compare with")
    text = " and ".join(f"{whose} is {_apart(seconds)}" for whose, seconds in ahead.items())
    if max(map(abs, ahead.values())) < _CLOCK_SECONDS:
        return ok(text)
    return problem(
        f"{text}, compared with this machine's. Set the clocks by NTP; tokens forgive {LEEWAY_SECONDS} s."
    )


def _apart(seconds: float) -> str:
    if abs(seconds) < 1:
        return "right to the second"
    return f"{duration(seconds)} {'ahead' if seconds > 0 else 'behind'}"


def _date(document: Document) -> float | None:
    """When the answer was made; it counts whole seconds, so half a second is added on average.

    What a cache gives out was made `Age` seconds ago (RFC 9111 section 5.1).
    """
    age = document.headers.get("age", "")
    try:
        made_at = parsedate_to_datetime(document.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return made_at + 0.5 + (int(age[:9]) if age.isdecimal() else 0)


def _where(settings: Settings) -> str:
    """Name the server, and never its user's password."""
    if not settings.database_url:
        return f"the embedded database in {shown(str(settings.data_dir))}"
    target = Target.parse(settings.database_url)
    host = target.host if target.host.startswith("/") else f"{target.host}:{target.port}"
    return f"the database {shown(target.database)} at {shown(host)}"


def _why(error: Exception, url: str) -> str:
    advice = _DATABASE_ADVICE.get(cause_of(error), "Its log may say more.").format(url=url)
    return f"{in_words(error)}. {advice}"
