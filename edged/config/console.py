"""The `[console]` section: where the pages for a browser are served, and how they are protected."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from edged.config.address import NAME
from edged.config.section import Section

MOST_HOSTS = 20


class ConsoleConfig(Section):
    """Pages for a browser: today's figure, events, reports, health. `edged claim` prints the address and the first code."""

    enabled: bool = Field(True, description="Serve the console; `edged-console.service` does it")
    listen: str = Field("127.0.0.1", description="Address to serve at; one that others can reach needs tls = true")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(8080, description="Port to serve at")
    hosts: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        (),
        max_length=MOST_HOSTS,
        description="Names that browsers may use for this device, beside addresses, localhost, names without a dot and .local",
    )
    tls: bool = Field(False, description="Encrypt, with a certificate of your own or one that the console makes")
    cert_file: Path | None = Field(None, description="Your certificate; when left out the console makes one for itself")
    key_file: Path | None = Field(None, description="Your certificate's private key")
    metrics: bool = Field(False, description="Give figures for Prometheus at /metrics, without a login")
    folder: Path = Field(
        Path("/var/lib/edged-console"), description="Where the console keeps password hashes and its certificate"
    )

    @field_validator("listen")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            raise ValueError(
                'must be an address of this device, such as "127.0.0.1", "0.0.0.0" (all) or "::"'
            ) from None

    @field_validator("hosts")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f'"{name}" is no name; write it without http:// and port, such as "entrance.example.org"'
                )
        return tuple(name.lower().rstrip(".") for name in value)

    @model_validator(mode="after")
    def _protected(self) -> "ConsoleConfig":
        if not ip_address(self.listen).is_loopback and not self.tls:
            raise ValueError(
                f'listen = "{self.listen}" lets other machines in, which needs encryption: add tls = true, or write'
                ' listen = "127.0.0.1"'
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: give both, or neither")
        if self.cert_file and not self.tls:
            raise ValueError("cert_file and key_file need tls = true")
        return self
