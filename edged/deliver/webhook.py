"""Posts alerts and daily reports to a program of the owner's, as the JSON that MQTT carries, signed."""

import hashlib
import hmac
from collections.abc import Sequence

from edged import __version__
from edged.config import WebhookConfig
from edged.connections import Dial, Http, Peer, one_line, read_secret, server_context
from edged.deliver.key import key_of
from edged.errors import ConfigError, Failed, Unavailable
from edged.records import Message

RETRIED = frozenset({408, 425, 429})
"""Answers between 400 and 499 that say "later"; the others say "never"."""

KEYS_THAT_HELP = {
    401: "check webhook.secret_file, which must hold the receiver's secret",
    403: "check webhook.secret_file, which must hold the receiver's secret",
    404: "check the path in webhook.url",
    405: "check the path in webhook.url, which must take POST",
}


class Webhook:
    """One receiver. Each message is a request of its own, on a connection of its own."""

    retry_longest_s = 60.0

    def __init__(self, config: WebhookConfig, device: str, dial: Dial | None = None) -> None:
        """Raise ConfigError when the secret or the certificate file cannot be used.

        Both are read anew for each message: they are changed under a running daemon.
        """
        self._config = config
        parts = config.parts
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._device = device
        self._is_secure = parts.scheme == "https"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.peer = Peer("receiver", parts.hostname or "", port, "webhook.url", "webhook.url", "webhook.ca_file")
        self._dial = dial or Dial()
        self._http()
        self._secret()

    @property
    def is_signed(self) -> bool:
        """Whether bodies are signed. Raise ConfigError when the secret cannot be used."""
        return self._secret() is not None

    def choose(self, waiting: Sequence[Message]) -> Sequence[Message]:
        return waiting[:1]

    def send(self, messages: Sequence[Message]) -> Sequence[str]:
        for message in messages:
            status, said = self._post(message)
            if 200 <= status < 300:
                continue
            line = f"{self.peer.where} answered {status} ({one_line(said) or 'no reason'})"
            if 300 <= status < 400:
                raise Unavailable(f"{line}; it has moved: write the new address into webhook.url")
            if status in RETRIED or status >= 500:
                raise Unavailable(f"{line}; trying again, see its log if this goes on")
            raise Failed(f"{line}; {KEYS_THAT_HELP.get(status, 'see its log')}")
        return ()

    def probe(self) -> None:
        """Connect, and check the certificate; nothing is posted."""
        self._http().probe()

    def cut(self) -> None:
        self._dial.cut()

    def headers(self, message: Message, body: bytes) -> dict[str, str]:
        """From these the receiver knows whose message it is, whether it had it before, and that the device has made it.

        Raise ConfigError when the secret cannot be used.
        """
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edged/{__version__}",
            "Edged-Device": self._device,
            "Edged-Topic": message.topic,
            "Idempotency-Key": key_of(self._device, message),
        }
        secret = self._secret()
        if secret is not None:
            headers["Edged-Signature"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        return headers

    def _http(self) -> Http:
        """Raise ConfigError when the certificate file cannot be used."""
        context = server_context("webhook.ca_file", self._config.ca_file) if self._is_secure else None
        return Http(self.peer, context, self._dial)

    def _secret(self) -> str | None:
        return read_secret("webhook", "secret_file", self._config.secret_file, "secret")

    def _post(self, message: Message) -> tuple[int, str]:
        """The answer's status and reason; its body is not read, however long it is, and no redirect followed."""
        body = message.payload.encode()
        try:
            http, headers = self._http(), self.headers(message, body)
        except ConfigError as error:  # a file is being replaced, or is no good any more
            raise Unavailable(str(error)) from None
        answer = http.ask("POST", self._target, body, headers)
        return answer.status, answer.reason
