"""Health: what each of its endpoints says, and when."""

from app import __version__
from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, ClientFor

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"


async def test_a_healthy_service_says_so(stranger):
    answer = await stranger.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "database": "connected", "version": __version__}


async def test_without_its_database_the_service_is_unhealthy(client_for: ClientFor):
    app = create_app(Settings(database_url=UNREACHABLE, better_auth_secret=SECRET))
    async with client_for(None, app) as client:
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert answer.json() == {"status": "unhealthy", "database": "disconnected", "version": __version__}
        live = await client.get("/health/live")
        assert (live.status_code, live.json()) == (200, {"status": "alive"})


async def test_the_root_tells_what_is_served_here(stranger):
    answer = await stranger.get("/")
    assert answer.json() == {"name": "Tasks API", "version": __version__, "docs": "/docs"}
