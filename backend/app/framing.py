"""Where a request begins and ends on a connection, in the cases that uvicorn's HTTP/1.1 leaves open."""

import re

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HOST = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=%]*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")


class Framing(HttpToolsProtocol):
    """uvicorn's protocol for a service that upgrades to nothing and expects no trailers.

    - Trailer fields come after the body and are no headers (RFC 9110 section 6.5.1). uvicorn takes them for
      some when they arrive together with the head: a token in them would have counted, that no proxy saw.
    - `Upgrade` is ignored (section 7.8), and the body stays the body. uvicorn would drop it, and read
      what comes of it later as the next request.
    - HTTP/1.1 has one Host, and a well-formed one (RFC 9112 section 3.2).
    """

    def feed(self, data: bytes) -> None:
        """Parse what came; raises HttpParserError, and never HttpParserUpgrade."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            else:
                return

    def on_headers_complete(self) -> None:
        if not self._is_for_one_host():
            raise ValueError("HTTP/1.1 has one Host")
        if self.parser.should_upgrade():  # nothing begins yet: the same comes again, without it
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("this is no proxy")
            return
        super().on_headers_complete()
        self.headers = []  # what comes from here on are trailer fields; nobody looks at them

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _is_for_one_host(self) -> bool:
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1:
            return _HOST.fullmatch(hosts[0].strip(b" \t")) is not None
        return not hosts and self.parser.get_http_version() != "1.1"

    def _head_without_upgrade(self) -> bytes:
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(fields))
