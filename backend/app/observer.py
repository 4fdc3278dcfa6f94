"""What the parts of the service tell while they work, and to whom."""


class Observer:
    """Hears everything and does nothing with it; whoever wants to know overrides what it wants to hear.

    Moments, `began` and `connected`, are by time.perf_counter(), in seconds.
    """

    def request_began(self) -> None:
        """Hear that a request came; `request_ended` follows."""

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Hear how a request ended; `route` is the template of its path, or `-`."""

    def token_known(self, began: float) -> None:
        """Hear that a credential was one that was verified a moment ago."""

    def token_checked(self, result: str, began: float) -> None:
        """Hear what a check came to: `verified`, `refused` or `unavailable`."""

    def statement_ended(self, began: float, connected: float | None) -> None:
        """Hear that a statement is through, well or not, and when it had got its connection, if ever."""

    def statement_failed(self, kind: str) -> None:
        """Hear why one failed: the class of its SQLSTATE, `connection` or `timeout`."""

    def rate_limited(self, policy: str) -> None:
        """Hear that a request was too much, by which policy: `user` or `address`."""

    def limits_alone(self) -> None:
        """Hear that the rate limits' Redis gave no answer to a request, and this process counted it alone."""

    def stream_opened(self) -> None:
        """Hear that a stream of events begins; `stream_closed` follows."""

    def stream_closed(self) -> None:
        """Hear that it is over."""


#: For whoever has nobody to tell.
NOBODY = Observer()
