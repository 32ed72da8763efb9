"""Sends alerts and daily reports by webhook and mail, each in a thread of its own; the only place that knows HTTP and SMTP."""

from collections.abc import Callable
from functools import partial

from edged.config import Config
from edged.deliver.letters import letter
from edged.deliver.mail import Mail
from edged.deliver.webhook import Webhook
from edged.deliver.worker import ChannelWorker, Transport
from edged.ports import Clock
from edged.records import Channel
from edged.store import StoreReader

__all__ = ["ChannelWorker", "Mail", "Transport", "Webhook", "alert_channels", "letter", "report_channels", "transports"]


def alert_channels(config: Config) -> tuple[Channel, ...]:
    """The channels here that take alerts."""
    webhook, mail = config.webhook, config.mail
    wanted: dict[Channel, bool] = {
        "webhook": bool(webhook.url) and webhook.alerts,
        "mail": bool(mail.host) and mail.alerts,
    }
    return tuple(channel for channel, asked in wanted.items() if asked)


def report_channels(config: Config) -> tuple[Channel, ...]:
    """The channels here that take daily reports."""
    webhook, mail = config.webhook, config.mail
    wanted: dict[Channel, bool] = {
        "webhook": bool(webhook.url) and webhook.report,
        "mail": bool(mail.host) and mail.report,
    }
    return tuple(channel for channel, asked in wanted.items() if asked)


def transports(
    config: Config, device: str, reader: StoreReader, clock: Clock
) -> dict[Channel, Callable[[], Transport]]:
    """What makes the transport of each configured channel here, or raises ConfigError: a secret or certificate cannot be used."""
    found: dict[Channel, Callable[[], Transport]] = {}
    if config.webhook.url is not None:
        found["webhook"] = partial(Webhook, config.webhook, device)
    if config.mail.host is not None:
        found["mail"] = partial(Mail, config, device, reader, clock)
    return found
