"""Mails daily reports with their page attached, and alerts bundled, over one connection for each mail."""

import hashlib
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from email.message import EmailMessage
from email.utils import format_datetime

from edged.config import Config, MailConfig
from edged.connections import ANSWER_S, Dial, Peer, bounded, cannot_reach, one_line, read_secret, server_context
from edged.deliver.key import content_of, is_report, key_of
from edged.deliver.letters import alerts_letter, report_letter
from edged.errors import ConfigError, Failed, Unavailable
from edged.ports import Clock
from edged.publish.problems import WRONG_LOGIN
from edged.records import Message
from edged.store import StoreReader

HOUR_S = 3600.0


class Mail:
    """One mail server. A daily report is a mail of its own; alerts share one when there were many in an hour."""

    retry_longest_s = 900.0
    """A mail server that refuses a password now and then may shut out whoever tries it often."""

    def __init__(
        self,
        config: Config,
        device: str,
        reader: StoreReader,
        clock: Clock,
        *,
        dial: Dial | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise ConfigError when the password or the certificate file cannot be used.

        Both are read anew for each mail: they are changed under a running daemon.
        """
        mail = self._mail = config.mail
        self._config = config
        self._device = device
        self._reader = reader
        self._clock = clock
        _context(mail)
        _login(mail)
        self._dial = dial or Dial()
        self._monotonic_s = monotonic_s
        self._alerted_s: deque[float] = deque(maxlen=mail.alerts_per_hour)
        """When mails with alerts were sent, the last few."""
        keys = "mail.port and mail.security"
        self.peer = Peer("mail server", mail.host or "", mail.effective_port, "mail.host", keys, "mail.ca_file")

    def choose(self, waiting: Sequence[Message]) -> Sequence[Message]:
        report = next((message for message in waiting if is_report(message)), None)
        if report is not None:
            return [report]
        full = len(self._alerted_s) == self._mail.alerts_per_hour
        return [] if full and self._monotonic_s() - self._alerted_s[0] < HOUR_S else waiting

    def send(self, messages: Sequence[Message]) -> Sequence[str]:
        keys = [key_of(self._device, message) for message in messages]
        contents = [content_of(message) for message in messages]
        if is_report(messages[0]):
            return self.deliver(report_letter(self._config, self._reader, contents[0]), keys)
        refused = self.deliver(alerts_letter(self._config, contents), keys)
        self._alerted_s.append(self._monotonic_s())
        return refused

    def probe(self) -> None:
        with self._session():
            pass

    def cut(self) -> None:
        self._dial.cut()

    def deliver(self, letter: EmailMessage, keys: Sequence[str]) -> list[str]:
        """Hand over one mail; return what is to be said of single recipients, a line each. `keys`: of what is in it.

        Raise Unavailable, or Failed when the server will never take it.
        """
        letter["From"] = str(self._mail.effective_sender)
        letter["To"] = ", ".join(self._mail.to or ())
        letter["Date"] = format_datetime(datetime.fromtimestamp(self._clock.utc_ms() / 1000, timezone.utc))
        # The same each time it is sent: many a mail server and reader drops what it has had.
        digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        letter["Message-ID"] = f"<{digest}@{self._device}.edged>"
        letter["Auto-Submitted"] = "auto-generated"
        refused: dict[str, tuple[int, bytes]] | None = None
        try:
            with self._session() as session:
                refused = session.send_message(letter)
        except Unavailable:
            if refused is None:
                raise  # else the server has the mail, and only its goodbye went wrong
        where = self.peer.where
        return [f"{where} refused {address} ({_said(*answer)}); check mail.to" for address, answer in refused.items()]

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A mail server that has let us in. Raise Unavailable, or Failed, for whatever goes wrong within."""
        try:
            context, login = _context(self._mail), _login(self._mail)
            with self._dial.connection(self.peer) as plain:
                implicit = context if self._mail.security == "tls" else None
                secured = implicit.wrap_socket(plain, server_hostname=self.peer.host) if implicit else plain
                session = _Session(secured, self.peer.host)
                try:
                    self._let_in(session, context, login)
                    yield session
                    session.quit()
                finally:
                    session.close()
        except ConfigError as error:  # a file is being replaced, or is no good any more
            raise Unavailable(str(error)) from None
        except smtplib.SMTPAuthenticationError:
            raise Unavailable(f"{self.peer.where}: {WRONG_LOGIN}; check mail.username and mail.password_file") from None
        except smtplib.SMTPDataError as error:
            refused = Failed if error.smtp_code >= 500 else Unavailable
            raise refused(f"{self.peer.where} refused the mail ({_said(error.smtp_code, error.smtp_error)})") from None
        except smtplib.SMTPRecipientsRefused as error:
            address, answer = next(iter(error.recipients.items()))
            raise Unavailable(f"{self.peer.where} refused {address} ({_said(*answer)}); check mail.to") from None
        except smtplib.SMTPSenderRefused as error:
            said = _said(error.smtp_code, error.smtp_error)
            raise Unavailable(
                f"{self.peer.where} refused {error.sender} ({said}); check mail.sender and mail.username"
            ) from None
        except smtplib.SMTPServerDisconnected as error:
            why = error.__context__ if isinstance(error.__context__, OSError) else ConnectionError()
            raise Unavailable(cannot_reach(why, self.peer)) from None
        except smtplib.SMTPResponseException as error:
            raise Unavailable(f"{self.peer.where} answered {_said(error.smtp_code, error.smtp_error)}") from None
        except smtplib.SMTPException as error:
            said = one_line(str(error)).rstrip(".")
            raise Unavailable(f"{self.peer.where}: {said}; check {self.peer.port_key}") from None
        except (OSError, UnicodeError) as error:
            raise Unavailable(cannot_reach(error, self.peer)) from None

    def _let_in(self, session: smtplib.SMTP, context: ssl.SSLContext | None, login: tuple[str, str] | None) -> None:
        """Have the server's greeting, its encryption, and its leave to send."""
        code, said = session.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        if self._mail.security == "starttls":
            session.starttls(context=context)
        if login is not None:
            session.login(*login)


def _context(mail: MailConfig) -> ssl.SSLContext | None:
    """What checks the server's certificate, None where nothing is encrypted. Raise ConfigError."""
    return None if mail.security == "none" else server_context("mail.ca_file", mail.ca_file)


def _login(mail: MailConfig) -> tuple[str, str] | None:
    """User name and password as they are now, None where the server asks for neither. Raise ConfigError."""
    if not mail.username:
        return None
    password = read_secret("mail", "password_file", mail.password_file)
    if password is None:
        raise ConfigError(
            "mail.username is set, and there is no password: write it into a file and set mail.password_file, or give the"
            " service the systemd credential mail_password (which no other program can read)"
        )
    if not f"{mail.username}{password}".isascii():
        raise ConfigError("mail.username and its password: mail servers take letters from ASCII alone; choose others")
    return mail.username, password


class _Session(smtplib.SMTP):
    """Speaks over a connection that is there already."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        own = str(connection.getsockname()[0])
        # Not the machine's name: to find that, the library would ask the network, and wait for it.
        super().__init__(local_hostname=f"[IPv6:{own}]" if ":" in own else f"[{own}]", timeout=ANSWER_S)
        self._host = host  # whose name the certificate must hold
        self.sock = connection

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = bounded(self.sock.makefile("rb"))  # a reply has any number of lines
        return super().getreply()


def _said(code: int, said: bytes | str) -> str:
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {one_line(words)}"
