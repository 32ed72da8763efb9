"""The config's section on who may see what, and when."""

from typing import Annotated

from pydantic import Field

from edged.config.section import Section


class PrivacyConfig(Section):
    """Live pictures and pauses."""

    clear_view: bool = Field(
        True, description="Whether faces in live pictures may be shown at all, for a reason that is recorded"
    )
    clear_view_minutes: Annotated[int, Field(ge=1, le=60)] = Field(
        10, description="A clear view ends by itself after this long"
    )
    pause_longest_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        1440,
        description="Watching may be paused for so long at most; with 1440 also until tomorrow, however long that is",
    )
