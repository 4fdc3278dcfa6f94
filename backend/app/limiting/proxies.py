"""Where a request comes from, as far as it can be believed."""

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

#: Whoever has an IPv6 address has the 2^64 of its network (RFC 6177); so these share a bucket.
_SUBSCRIBER_BITS = 64

#: What IPv4 looks like from behind a translator (RFC 6052 section 2.1).
_NAT64 = IPv6Network("64:ff9b::/96")

_NOWHERE = "-"  # a Unix socket has no address


def address_of(peer: str | None, forwarded: Sequence[str], trusted: int) -> str:
    """Return the caller's address: an IPv4 address, or the network of an IPv6 address.

    It is the socket's peer, or with `trusted` proxies the entry of `X-Forwarded-For` that the outermost of
    them wrote: so many from the right. Whatever stands left of it anybody may have written. With too few
    entries, or something that is no address, the request did not come that way: then it is the peer.
    """
    own = peer or _NOWHERE
    if not trusted:
        return _network(own) or own
    entries = [entry for value in forwarded for entry in value.split(",")]
    found = _network(_without_port(entries[-trusted].strip())) if len(entries) >= trusted else None
    return found or _network(own) or own


def _network(text: str) -> str | None:
    try:
        if ":" not in text:
            return str(IPv4Address(text))
        address = IPv6Address(text)
    except AddressValueError:
        return None
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        return str(IPv4Address(int(address) & 0xFFFFFFFF))
    return f"{IPv6Address(int(address) >> _SUBSCRIBER_BITS << _SUBSCRIBER_BITS)}/{_SUBSCRIBER_BITS}"


def _without_port(entry: str) -> str:
    """Take away a port, which some proxies write: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
