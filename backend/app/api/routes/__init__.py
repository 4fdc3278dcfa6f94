"""The endpoints."""

from starlette.routing import BaseRoute

from app.api.routes import batch, changes, events, health, order, tasks, trash
from app.api.routing import completed

_ROUTERS = (tasks, order, trash, batch, changes, events, health)

#: All of them, for one application, which looks through them in this order. `include_router` would have each
#: request matched twice (docs/decisions/0019).
ROUTES: list[BaseRoute] = completed([*(route for module in _ROUTERS for route in module.router.routes)])
