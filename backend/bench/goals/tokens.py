"""What checking a token costs: never seen before, and seen before. All kinds are in `make bench-auth`."""

import asyncio

from bench.auth import verifications
from bench.figures import Figure
from bench.goals.server import Server, alone


def measure(_server: Server) -> list[Figure]:
    """Measure the three kinds that front ends use most."""
    return asyncio.run(verifications(["EdDSA", "ES256"], sessions=False))


if __name__ == "__main__":
    alone(measure)
