"""Preferences: the header Prefer (RFC 7240)."""

import re
from collections.abc import Sequence

# Possessive, and a quote that is never closed takes the rest: whatever comes is read in one go.
_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*+(?:"|\\?$)|[^",])+')


def prefers(name: str, value: str, headers: Sequence[str]) -> bool:
    """Whether a preference was sent with this value; of several with one name the first counts.

    Nothing in the header is an error: what is unknown is ignored (RFC 7240 section 2), quotes that don't
    match are taken for none.
    """
    for element in _ELEMENT.findall(", ".join(headers)):
        found, _, sent = element.partition(";")[0].partition("=")
        if found.strip(" \t").lower() == name:
            return bool(sent.strip(' \t"') == value)
    return False
