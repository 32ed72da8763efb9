"""The tables of the channels besides MQTT by which alerts and daily reports leave: a webhook, and mail."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from edged.config.address import check_url, is_host, is_private
from edged.config.section import Section

WAITING_FOR_WEBHOOK, WAITING_FOR_MAIL = 10_000, 1_000
"""Most messages that wait for each; beyond it the oldest alerts go first, and are counted."""

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
PORTS = {"starttls": 587, "tls": 465, "none": 25}


class WebhookConfig(Section):
    """A program that alerts and daily reports are posted to; without `url` there is none."""

    url: str | None = Field(None, min_length=1, max_length=2000, description="Where to: an https address")
    secret_file: Path | None = Field(
        None,
        description="File with the secret that signs each body; the systemd credential `webhook_secret` is used when left out",
    )
    ca_file: Path | None = Field(None, description="Certificate authority, for a receiver with a private one")
    allow_http: bool = Field(False, description="Post without encryption to any address, not only to private ones")
    alerts: bool = Field(True, description="Post each alert, as soon as it is confirmed")
    report: bool = Field(True, description="Post each daily report, and its revisions")

    @model_validator(mode="after")
    def _address(self) -> "WebhookConfig":
        """Mistakes are shown without the address, which may hold a token."""
        if self.url is None:
            return self
        try:
            parts = check_url(self.url)
        except ValueError as error:
            raise ValueError(f"url {error}") from None
        if not self.url.isascii() or parts.fragment:
            raise ValueError("url must be an address in ASCII characters, without #")
        if parts.username is not None:
            raise ValueError("url holds a user or password: take them out; secret_file signs what is posted")
        if parts.scheme == "http" and not (self.allow_http or is_private(parts.hostname or "")):
            raise ValueError("url posts alerts unencrypted: write https, or set allow_http = true")
        if parts.scheme == "http" and self.ca_file is not None:
            raise ValueError("ca_file needs an https url")
        return self

    @property
    def parts(self) -> SplitResult:
        """Of the address; empty ones where there is none."""
        return urlsplit(self.url or "")


class MailConfig(Section):
    """A mail server that takes daily reports, and alerts if wanted; without `host` there is none."""

    host: str | None = Field(None, min_length=1, max_length=253, description="Mail server's name or address")
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="587 with STARTTLS, 465 with TLS, 25 without either, when left out"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="STARTTLS on a plain connection, TLS from the first byte, or no encryption at all"
    )
    username: str | None = Field(None, min_length=1, description="Name for the mail server")
    password_file: Path | None = Field(
        None, description="File with the password; the systemd credential `mail_password` is used when left out"
    )
    ca_file: Path | None = Field(None, description="Certificate authority, for a mail server with a private one")
    sender: str | None = Field(None, description="Address that mails come from; username where that is an address")
    to: tuple[str, ...] | None = Field(None, max_length=20, description="Addresses that mails go to")
    report: bool = Field(True, description="Mail each daily report with its page attached, and its revisions")
    alerts: bool = Field(False, description="Mail alerts")
    alerts_per_hour: Annotated[int, Field(ge=1, le=60)] = Field(
        4, description="Most mails with alerts an hour; those that come meanwhile go together in the next"
    )

    @field_validator("host")
    @classmethod
    def _name_alone(cls, value: str | None) -> str | None:
        if value is not None and not is_host(value):
            raise ValueError('must be the mail server\'s name or address alone, such as "smtp.example.org"')
        return value

    @field_validator("sender", "to")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for address in (value,) if isinstance(value, str) else value or ():
            if len(address) > 254 or not ADDRESS.fullmatch(address):
                raise ValueError('must be a mail address alone, such as "someone@example.org"')
        return value

    @model_validator(mode="after")
    def _whole(self) -> "MailConfig":
        if self.password_file and not self.username:
            raise ValueError("password_file needs username")
        if self.security == "none" and (self.ca_file or (self.username and not is_private(self.host or ""))):
            raise ValueError(
                'ca_file, and a username anywhere but in a private network, need security = "starttls" or "tls"'
            )
        if self.host is not None and not self.to:
            raise ValueError('to is missing: whom mails go to, as in to = ["someone@example.org"]')
        if self.host is not None and self.effective_sender is None:
            raise ValueError('sender is missing: the address that mails come from, as in sender = "edged@example.org"')
        return self

    @property
    def effective_port(self) -> int:
        return self.port or PORTS[self.security]

    @property
    def effective_sender(self) -> str | None:
        return self.sender or (self.username if self.username and ADDRESS.fullmatch(self.username) else None)
