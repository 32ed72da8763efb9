"""Sends alerts and daily reports by webhook and mail, each in a thread of its own.

HTTP and SMTP are imported with the channel that speaks them, where one is configured.
"""

from collections.abc import Callable

from edged.config import Config, MailConfig, WebhookConfig
from edged.deliver.worker import ChannelWorker, Transport
from edged.ports import Clock
from edged.records import Channel
from edged.store import StoreReader

__all__ = ["ChannelWorker", "Transport", "alert_channels", "report_channels", "transports"]


def alert_channels(config: Config) -> tuple[Channel, ...]:
    """The channels here that take alerts."""
    return _taking(config, lambda channel: channel.alerts)


def report_channels(config: Config) -> tuple[Channel, ...]:
    """The channels here that take daily reports."""
    return _taking(config, lambda channel: channel.report)


def _taking(config: Config, takes: Callable[[WebhookConfig | MailConfig], bool]) -> tuple[Channel, ...]:
    """Those that are configured and take such messages."""
    there: dict[Channel, bool] = {
        "webhook": config.webhook.url is not None and takes(config.webhook),
        "mail": config.mail.host is not None and takes(config.mail),
    }
    return tuple(channel for channel, asked in there.items() if asked)


def transports(
    config: Config, device: str, reader: StoreReader, clock: Clock
) -> dict[Channel, Callable[[], Transport]]:
    """What makes the transport of each configured channel here, or raises ConfigError: a secret or certificate cannot be used."""
    found: dict[Channel, Callable[[], Transport]] = {}
    if config.webhook.url is not None:
        found["webhook"] = lambda: _webhook(config, device)
    if config.mail.host is not None:
        found["mail"] = lambda: _mail(config, device, reader, clock)
    return found


def _webhook(config: Config, device: str) -> Transport:
    from edged.deliver.webhook import Webhook

    return Webhook(config.webhook, device)


def _mail(config: Config, device: str, reader: StoreReader, clock: Clock) -> Transport:
    from edged.deliver.mail import Mail

    return Mail(config, device, reader, clock)
