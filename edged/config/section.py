"""What every table of the config file is made of: frozen, bounded, and without unknown keys."""

import unicodedata
from typing import Annotated, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
"""A name that goes into MQTT topics and Home Assistant identities as it is."""

NOT_SHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that nobody sees, and that change how what stands around them is shown."""
JOINERS = "\u200c\u200d"
"""Of these, those with which some languages write words."""


def _one_line(value: str) -> str:
    """Such a text stands in logs, MQTT, mail headers and on pages."""
    if any(unicodedata.category(one) in NOT_SHOWN and one not in JOINERS for one in value):
        raise ValueError(
            "cannot hold a line break or another control character, seen or unseen, such as those that turn the direction of"
            " what follows; take it out"
        )
    return value


Line = Annotated[str, AfterValidator(_one_line)]
"""A text for people, of one line."""

LONGEST_PASSWORD = 512
"""Characters of a password or secret that edged is given to keep in a file."""

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
FaceSide = Annotated[float, Field(ge=8, le=2000)]


class Section(BaseModel):
    """A table of the config file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        """The system's calls end a name there, or refuse it."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("cannot hold a NUL character (\\u0000); take it out")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python would take true for 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
            raise ValueError(f"{_meant(annotation)}, not {str(value).lower()}")
        return value


def _meant(annotation: object) -> str:
    """What a key takes that takes no true or false."""
    parts = (annotation, *get_args(annotation))
    allowed = [f'"{value}"' for part in parts for value in get_args(part) if isinstance(value, str)]
    return f"must be one of {', '.join(allowed)}" if allowed else "must be a value"
