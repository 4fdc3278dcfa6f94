"""What the events of a stream hold."""

from typing import Literal

from pydantic import BaseModel, Field

from app.errors import Ending


class RevisionEvent(BaseModel):
    """The user's tasks changed."""

    revision: int = Field(
        description="The user's revision: what `X-Revision` said to who wrote", examples=[7]
    )


class EndEvent(BaseModel):
    """Nothing more comes on this stream, and why."""

    reason: Literal[Ending.TOKEN_EXPIRED, Ending.SIGNED_OUT, Ending.SHUTDOWN]
