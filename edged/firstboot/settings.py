"""What the file on a stick may hold beside the config: the network, passwords, keys for SSH."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from edged.config import Config
from edged.config.load import parse_config
from edged.config.section import LONGEST_PASSWORD, Section
from edged.errors import ConfigError

MOST_KEYS = 16


class NetworkConfig(Section):
    """How the box reaches its network, where a cable and DHCP are not enough."""

    wifi: str | None = Field(None, description="Name of the wireless network; none: the cable")
    password: Annotated[str, Field(min_length=8, max_length=63, pattern=r"^[ -~]+$")] | None = Field(
        None, description="Password of the wireless network"
    )
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = Field(
        None, description="Two letters, as ES: which channels are allowed"
    )
    address: str | None = Field(None, description="Fixed address with its network's length, as 192.168.1.20/24")
    gateway: str | None = Field(None, description="The router's address")
    dns: tuple[str, ...] = Field((), max_length=3, description="Name servers")

    @field_validator("wifi")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not (1 <= len(value.encode()) <= 32 and value.isprintable()):
            raise ValueError("must be 1 to 32 bytes that can be printed")
        return value

    @field_validator("address")
    @classmethod
    def _an_interface(cls, value: str | None) -> str | None:
        if value is not None and "/" not in value:
            raise ValueError("needs the network's length, as in 192.168.1.20/24")
        return None if value is None else str(ipaddress.ip_interface(value))

    @field_validator("gateway")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        return None if value is None else str(ipaddress.ip_address(value))

    @field_validator("dns")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_address(one)) for one in value)

    @model_validator(mode="after")
    def _complete(self) -> "NetworkConfig":
        if self.wifi is None and (self.password or self.country):
            raise ValueError("password and country need wifi, the network's name")
        if self.wifi is not None and self.country is None:
            raise ValueError('wifi needs country = "ES", or the two letters of yours: without it nothing may be sent')
        if self.address is None and self.gateway:
            raise ValueError("gateway needs address")
        if self.address and self.gateway and (":" in self.address) != (":" in self.gateway):
            raise ValueError(f"gateway {self.gateway} and address {self.address} are of two kinds, IPv4 and IPv6")
        return self


class SshKey(Section):
    """Who may log in as root: there is no password."""

    key: Annotated[
        str,
        Field(
            max_length=8192,
            pattern=r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( [ -~]*)?$",
        ),
    ] = Field(description="One line of a .pub file")


class OnlyHere(Section):
    """The tables that /etc/edged/edged.toml does not know."""

    network: NetworkConfig | None = None
    ssh: Annotated[tuple[SshKey, ...], Field(max_length=MOST_KEYS)] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """What stands in the stick's file itself, and then in a file of its own, which the config names."""

    table: str
    key: str
    file_key: str
    file: str


SECRETS = (
    Secret("mqtt", "password", "password_file", "mqtt-password"),
    Secret("mail", "password", "password_file", "mail-password"),
    Secret("webhook", "secret", "secret_file", "webhook-secret"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """One file, validated whole."""

    tables: dict[str, Any]
    """What goes into the config: without what stands only on sticks."""
    config: Config
    network: NetworkConfig | None
    ssh_keys: tuple[str, ...]
    secrets: dict[str, str]
    """For each file with a secret, what is in it."""


def settings_of(raw: Mapping[str, Any], path: Path, folder: Path) -> Settings:
    """Validate all of the file `path`. Raise ConfigError with one line for each mistake, in whichever part it is.

    Secrets go into files in `folder`, which the config then names.
    """
    tables = {key: value for key, value in raw.items() if key not in OnlyHere.model_fields}
    mistakes: list[str] = []
    taken = {secret.file: _take(tables, secret, folder, mistakes) for secret in SECRETS}
    extra, config = OnlyHere(), None
    try:
        extra = OnlyHere.model_validate({key: raw[key] for key in OnlyHere.model_fields if key in raw})
    except ValidationError as error:
        mistakes += [_line(detail) for detail in error.errors(include_url=False, include_input=False)]
    try:
        config = parse_config(tables, path)
    except ConfigError as error:
        mistakes += [line.removeprefix(f"{path}: ") for line in str(error).splitlines()]
    if mistakes or config is None:
        raise ConfigError("\n".join(mistakes))
    secrets = {file: value for file, value in taken.items() if value is not None}
    return Settings(tables, config, extra.network, tuple(key.key for key in extra.ssh), secrets)


def _take(tables: dict[str, Any], secret: Secret, folder: Path, mistakes: list[str]) -> str | None:
    """Take a secret out of `tables`, and name its file there."""
    table = tables.get(secret.table)
    if not isinstance(table, dict) or secret.key not in table:
        return None
    value, where = table[secret.key], f"key {secret.table}.{secret.key}"
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_PASSWORD or not value.isprintable():
        mistakes.append(f"{where}: must be 1 to {LONGEST_PASSWORD} characters in quotes that can be printed")
        return None
    if secret.file_key in table:
        mistakes.append(f"{where}: {secret.file_key} is given too; take one of them out")
    rest = {key: part for key, part in table.items() if key != secret.key}
    tables[secret.table] = {**rest, secret.file_key: str(folder / secret.file)}
    return value


def _line(detail: Mapping[str, Any]) -> str:
    """One mistake. Values are not shown: they may be passwords."""
    parts = [str(part) for part in detail["loc"]]
    message = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    if detail["type"] == "extra_forbidden":
        message = "unknown here"
    if detail["type"] == "string_pattern_mismatch":
        message = {
            "country": 'must be two capital letters, such as "ES"',
            "key": "must be one line of a .pub file",
        }.get(parts[-1], "holds characters that it cannot hold")
    return f"key {'.'.join(parts)}: {message[0].lower()}{message[1:]}"
