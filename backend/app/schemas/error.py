"""The one shape of every failure."""

from pydantic import BaseModel, Field


class ErrorResponse(BaseModel):
    """What every answer outside 2xx holds."""

    error: str = Field(description="Stable code in capitals, such as NOT_FOUND")
    message: str = Field(description="One sentence for a person")
    details: list[str] = Field(
        default=[], description='One line per problem, "field - what is wrong and what is accepted"'
    )
