"""Posts alerts and daily reports to a program of the owner's, as the JSON that MQTT carries, signed."""

import hashlib
import hmac
from collections.abc import Sequence

from edged import __version__
from edged.config import WebhookConfig
from edged.connections import Dial, Http, Peer, one_line, read_secret, server_context
from edged.deliver.key import key_of
from edged.errors import Failed, Unavailable
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
        """Raise ConfigError when the secret or the certificate file cannot be used."""
        parts = config.parts
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._device = device
        context = server_context("webhook.ca_file", config.ca_file) if parts.scheme == "https" else None
        self._secret = read_secret("webhook", "secret_file", config.secret_file, "secret")
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.peer = Peer("receiver", parts.hostname or "", port, "webhook.url", "webhook.url", "webhook.ca_file")
        self._http = Http(self.peer, context, dial)

    @property
    def is_signed(self) -> bool:
        return self._secret is not None

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
        self._http.probe()

    def cut(self) -> None:
        self._http.cut()

    def headers(self, message: Message, body: bytes) -> dict[str, str]:
        """From these the receiver knows whose message it is, whether it had it before, and that the device has made it."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edged/{__version__}",
            "Edged-Device": self._device,
            "Edged-Topic": message.topic,
            "Idempotency-Key": key_of(self._device, message),
        }
        if self._secret is not None:
            headers["Edged-Signature"] = f"sha256={hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()}"
        return headers

    def _post(self, message: Message) -> tuple[int, str]:
        """The answer's status and reason; its body is not read, however long it is, and no redirect followed."""
        body = message.payload.encode()
        answer = self._http.ask("POST", self._target, body, self.headers(message, body))
        return answer.status, answer.reason
