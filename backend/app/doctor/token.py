"""What the service thinks of one token, and why; of the token itself only what `peek` reads is shown."""

import re
from urllib.parse import unquote

from app.auth import bearer_token
from app.auth.keys import UnusableKeys
from app.auth.tokens import HS256
from app.doctor.advice import advice
from app.doctor.findings import Finding, moment, ok, problem, shown, unchecked
from app.doctor.peek import Peek
from app.doctor.subject import Document, Subject
from app.errors import BadRequest, Unauthorized, Unavailable
from app.queries.sessions import Sessions

#: What is copied along with a token: the header's name and scheme, or the JSON that Better Auth answers.
_PASTED_ALONG = re.compile(
    r"""\A\s*(?:(?:authorization\s*:)?\s*bearer\s+|\{\s*"token"\s*:\s*)""", re.IGNORECASE
)


async def token(subject: Subject) -> Finding:
    """Verify it as a request's would be, with what was fetched before: a front end may be slow at first."""
    if subject.credential is None:
        return unchecked("not checked: give one with --token TOKEN, or on standard input with --token -")
    credential = _PASTED_ALONG.sub("", subject.credential, count=1).strip(' \t\r\n"}')
    if not credential:
        return problem("it is empty: did what was to print it fail?")
    document = await subject.document()
    peek = Peek.at(credential)
    read = peek.described(_published(peek, document), subject.settings)
    try:
        user = await subject.parts.verifier.user(bearer_token([f"Bearer {credential}"]))
    except Unavailable as error:
        return problem(
            f"can't be checked now (503): {error.reason}. See the problem above; a server that runs may "
            "still have what it takes.",
            *read,
        )
    except BadRequest:
        return problem(
            "it holds characters that no token has: copy it again, without quotes and line breaks."
        )
    except Unauthorized as error:
        what_to_do = advice(peek, error.reason, subject.settings)
        return problem(f"refused (401): {error.reason}. {what_to_do}", *read)
    return ok(f"accepted for the user {shown(user.id)}: {await _kind(subject, credential, peek)}")


def _published(peek: Peek, document: Document | Exception | None) -> str:
    """Say whether its key id is among the published ones, if that is known."""
    if not peek.has_published_key or not isinstance(document, Document):
        return ""
    try:
        usable = document.usable()
    except UnusableKeys:
        return ""
    return " (published)" if any(peek.header.get("kid") == kid for kid in usable) else " (not published)"


async def _kind(subject: Subject, credential: str, peek: Peek) -> str:
    """Say what it was verified with, and until when it is good."""
    if peek.dots == 1 and subject.parts.session_database is not None:
        found = await Sessions(subject.parts.session_database).find(unquote(credential).partition(".")[0])
        return f"a session token, until {moment(found.expires_at)}" if found else "a session token"
    key = (
        "BETTER_AUTH_SECRET"
        if peek.algorithm == HS256
        else f"the published key {shown(peek.header.get('kid'))}"
    )
    return f"signed {peek.algorithm} with {key}, until {moment(peek.claims['exp'])}"
