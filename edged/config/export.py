"""`[export]`: where the files of closed days go, and in which form."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from edged.config.address import check_url, is_private
from edged.config.section import Section

S3 = "s3://"
_BUCKET = re.compile(
    r"(?=[a-z0-9.-]{3,63}(/|$))[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
    r"(/(?!\.{1,2}(/|$))[A-Za-z0-9_.=-]+)*/?"
)


def is_s3(value: str | None) -> bool:
    return (value or "").startswith(S3)


class ExportConfig(Section):
    """Files of closed days, for a report over many devices; without `to` none are made."""

    to: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="A folder (a stick, a mount), an https address that takes PUT, or s3://bucket/prefix",
    )
    format: Literal["auto", "parquet", "jsonl.gz"] = Field(
        "auto",
        description='"parquet" needs DuckDB (edged[fleet]); "auto": that where DuckDB is installed, else jsonl.gz',
    )
    token_file: Path | None = Field(
        None,
        description="File with the https address's bearer token, or the keys of S3; readable by edged's user only",
    )
    ca_file: Path | None = Field(
        None, description="Certificate authority of the https address, if it has a private one"
    )
    sign_key_file: Path | None = Field(
        None, description="Private SSH key, without passphrase, that signs each manifest (ssh-keygen -Y sign)"
    )
    keep_days: Annotated[int, Field(ge=7, le=3650)] = Field(
        400, description="Exported files stay on this device for so many days, whether or not they could be sent"
    )

    @property
    def is_web(self) -> bool:
        return self.to is not None and "://" in self.to

    @field_validator("to")
    @classmethod
    def _a_place(cls, value: str | None) -> str | None:
        return None if value is None else check_place(value)

    @model_validator(mode="after")
    def _of_an_address(self) -> "ExportConfig":
        if (self.token_file or self.ca_file) and not (self.to or "").startswith(("https://", S3)):
            raise ValueError("token_file and ca_file are for an https or s3 address in export.to")
        return self


def check_place(value: str) -> str:
    """The value if it names an absolute folder or a web address. Raise ValueError with the remedy."""
    if "://" not in value:
        if not Path(value).is_absolute():
            raise ValueError('must be a whole path, such as "/media/stick/record", or an address, such as "https://…"')
        return value
    if is_s3(value):
        if not _BUCKET.fullmatch(value.removeprefix(S3)):
            raise ValueError(
                'must be a bucket and a prefix, such as "s3://records/edged": a bucket\'s name has 3 to 63 of a-z, 0-9, - and'
                " single dots, and no part of the prefix is . or .."
            )
        return value
    parts = check_url(value)
    if "?" in value or "#" in value or "@" in value:
        raise ValueError("must be an address without ?, # and user: a token stands in export.token_file")
    if parts.scheme == "http" and not is_private(parts.hostname or ""):
        raise ValueError("would send the record unencrypted out of the site's own network: write https")
    return value
