"""The HTTP side: what a request passes, what a route may ask for, the routes."""
