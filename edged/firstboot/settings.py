"""What the file on a stick may hold beside the config: the network, passwords, keys for SSH."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from edged.config import Config
from edged.config.load import for_people, parse_config, unknown
from edged.config.section import LONGEST_PASSWORD, Section
from edged.errors import ConfigError
from edged.firstboot.countries import COUNTRIES, WRITTEN_OTHERWISE

MOST_KEYS = 16
ESCAPES = "a backslash is written \\\\, or the text stands between single quotes"


class NetworkConfig(Section):
    """How the box reaches its network, where a cable and DHCP are not enough."""

    wifi: str | None = Field(None, description="Name of the wireless network; none: the cable")
    password: Annotated[str, Field(min_length=8, max_length=63, pattern=r"^[ -~]+$")] | None = Field(
        None, description="Password of the wireless network"
    )
    country: str | None = Field(None, description="Two letters, as ES: which channels are allowed")
    address: str | None = Field(None, description="Fixed address with its network's length, as 192.168.1.20/24")
    gateway: str | None = Field(None, description="The router's address")
    dns: tuple[str, ...] = Field((), max_length=3, description="Name servers")

    @field_validator("wifi")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not (1 <= len(value.encode()) <= 32 and value.isprintable()):
            raise ValueError("must be 1 to 32 bytes that can be printed")
        return value

    @field_validator("country")
    @classmethod
    def _a_country(cls, value: str | None) -> str | None:
        if value is not None and value not in COUNTRIES:
            meant = WRITTEN_OTHERWISE.get(value.upper(), value.upper())
            near = f'; did you mean "{meant}"?' if meant in COUNTRIES else ""
            raise ValueError(f'must be the two capital letters of a country (ISO 3166), such as "ES"{near}')
        return value

    @field_validator("address")
    @classmethod
    def _an_interface(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "/" not in value:
            raise ValueError("needs the network's length, as in 192.168.1.20/24")
        try:
            own = ipaddress.ip_interface(value)
        except ValueError:
            raise ValueError("must be an address with the network's length, as in 192.168.1.20/24") from None
        if _names_the_network(own):
            raise ValueError(
                f"{own.ip} stands for the whole network {own.network}; take an address of a single machine"
            )
        return str(own)

    @field_validator("gateway")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        return None if value is None else _address(value)

    @field_validator("dns")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(one) for one in value)

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
        if self.address and self.gateway:
            _check_way(ipaddress.ip_interface(self.address), ipaddress.ip_address(self.gateway))
        return self


Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an address alone, as in 192.168.1.1") from None


def _names_the_network(own: Interface) -> bool:
    """Whether it is an address that all machines of its network share."""
    whole = own.network
    return own.version == 4 and whole.num_addresses > 2 and own.ip in (whole.network_address, whole.broadcast_address)


def _check_way(own: Interface, gateway: Address) -> None:
    """Raise ValueError where the box would not reach its router: nobody would reach the box then."""
    if own.ip == gateway:
        raise ValueError(f"address and gateway are both {gateway}, the router's; give the box another address")
    if own.network.num_addresses > 1 and not gateway.is_link_local and gateway not in own.network:
        raise ValueError(f"gateway {gateway} is not in the network of address {own}; correct one of them")


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


BESIDE = {
    "network": tuple(NetworkConfig.model_fields),
    "ssh": (),
    **{secret.table: (secret.key,) for secret in SECRETS},
}
"""Tables and keys that a stick's file has beside the config's."""


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
        mistakes += [_line(detail) for detail in error.errors(include_url=False)]
    try:
        config = parse_config(tables, path, beside=BESIDE)
    except ConfigError as error:
        mistakes += [_as_on_the_stick(line.removeprefix(f"{path}: "), raw) for line in str(error).splitlines()]
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
    rest = {key: part for key, part in table.items() if key != secret.key}
    tables[secret.table] = rest
    if (mistake := _secret_mistake(value)) is not None:
        mistakes.append(f"{where}: {mistake}")
        return None
    if secret.file_key in table:
        mistakes.append(f"{where}: {secret.file_key} is given too; take one of them out")
    tables[secret.table] = {**rest, secret.file_key: str(folder / secret.file)}
    return str(value)


def _secret_mistake(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text in quotes"
    if not value:
        return "must not be empty; leave the key out where there is none"
    if len(value) > LONGEST_PASSWORD:
        return f"must be {LONGEST_PASSWORD} characters at most"
    return None if value.isprintable() else f"holds a line break or another control character; {ESCAPES}"


def _as_on_the_stick(mistake: str, raw: Mapping[str, Any]) -> str:
    """The config's words on a file that holds a secret, in those of a stick that holds the secret itself."""
    for secret in SECRETS:
        if mistake.startswith(f"table [{secret.table}]") and secret.key in raw.get(secret.table, {}):
            return mistake.replace(secret.file_key, secret.key)
    return mistake


OWN_WORDS = {
    "password": f"must be 8 to 63 letters, digits and signs, without umlauts or accents; {ESCAPES}",
    "key": 'must be one line of a .pub file, such as "ssh-ed25519 AAAA… me@laptop"',
}
"""What the patterns of these ask for."""


def _line(detail: Mapping[str, Any]) -> str:
    """One mistake. Values are not shown: they may be passwords."""
    parts = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        table = NetworkConfig if parts[0] == "network" else SshKey
        return unknown(tuple(parts), table.model_fields, BESIDE)
    if detail["type"] == "missing":
        return f"key {'.'.join(parts)}: is missing; give it a value"
    words = OWN_WORDS.get(parts[-1]) if detail["type"] == "string_pattern_mismatch" else None
    return f"key {'.'.join(parts)}: {words or for_people(detail)}"
