"""The endpoints; each file is one tag of the OpenAPI document."""
