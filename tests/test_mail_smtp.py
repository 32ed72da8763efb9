"""Mail: what is written, to whom and over which connection; and what becomes of it when the mail server is in trouble."""

import socket
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from report_days import MINUTE, encounter, span, watched
from support.mosquitto import Certificates, free_port, make_certificates
from support.receivers import HandTime, MailServer, Writer, alert, report_message, settings
from support.storing import HandClock

from edged import connections
from edged.config import Config
from edged.connections import Dial
from edged.deliver import ChannelWorker
from edged.deliver.mail import Mail
from edged.errors import ConfigError, Failed, Unavailable
from edged.records import Message
from edged.report import build_report
from edged.store import Store, StoreReader

DAY = date(2026, 6, 2)
USER, PASSWORD = "edged@site.example", "pass-of-the mail/server"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates):
    with MailServer(certificates, USER, PASSWORD) as running:
        yield running


class Site:
    """A database with a day in it, and the mail server's settings."""

    def __init__(self, folder: Path, port: int, certificates: Certificates | None, **mail: Any) -> None:
        keys: dict[str, Any] = {"host": "127.0.0.1", "port": port, "to": ["manager@site.example"], "alerts": True}
        report = mail.pop("site", None)
        if certificates is not None:
            (folder / "password").write_text(PASSWORD + "\n")
            keys |= {"username": USER, "password_file": str(folder / "password"), "ca_file": str(certificates.ca)}
        self.config: Config = settings(folder, mail=keys | mail, report={"site": report} if report else {})
        self.store = Store(folder / "edged.db")
        self.reader = StoreReader(folder / "edged.db")
        self.time = HandTime()
        self.writer = Writer(self.store)
        begin, end = span(DAY, "UTC")
        passages = [encounter(n, begin + (60 * n + 1) * MINUTE, ("none", "correct")[n % 2]) for n in range(24)]
        self.store.write([*watched(begin, end), *passages])
        self.report = build_report(self.reader, self.config, DAY, end)

    def mail(self, dial: Dial | None = None) -> Mail:
        return Mail(self.config, "hall", self.reader, HandClock(), dial=dial, monotonic_s=self.time)

    def worker(self) -> ChannelWorker:
        return ChannelWorker("mail", self.mail(), self.reader, self.writer, self.time.rest)

    def send(self, *messages: Message, dial: Dial | None = None) -> None:
        self.mail(dial).send(messages)


@pytest.fixture
def site(tmp_path, server, certificates):
    made = Site(tmp_path, server.port, certificates)
    yield made
    made.store.close()


def test_a_report_arrives_as_text_with_its_page_and_its_table(site, server) -> None:
    site.send(report_message("mail", site.report))
    (mail,) = server.mails
    assert (mail["Subject"], mail["From"], mail["To"]) == ("edged: report of 2026-06-02", USER, "manager@site.example")
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",)).get_content()
    assert "12 worn correctly" in text
    assert "24 judged of 24" in text
    page, table = mail.iter_attachments()
    assert (page.get_filename(), page.get_content_type()) == ("2026-06-02.html", "text/html")
    assert "<svg" in page.get_content()
    assert (table.get_filename(), table.get_content_type()) == ("2026-06-02.csv", "text/csv")
    assert table.get_content().startswith("record,date,")


def test_a_revision_says_so_and_what_is_sent_again_has_the_same_id(site, server) -> None:
    site.send(report_message("mail", site.report))
    site.send(report_message("mail", site.report))
    site.send(report_message("mail", site.report | {"revision": 2}))
    first, again, revised = server.mails
    assert first["Message-ID"] == again["Message-ID"] != revised["Message-ID"]
    assert revised["Subject"] == "edged: report of 2026-06-02, revision 2"


def test_alerts_tell_when_where_and_what(site, server) -> None:
    site.send(alert("mail"))
    assert server.mails[0]["Subject"] == "edged: Worn incorrectly"
    assert "2026-11-19 08:03:10 Main door: Worn incorrectly" in server.mails[0].get_content()
    site.send(
        alert("mail"), alert("mail", kind="drowsiness", state="sleep", details={"level": "alarm"}, clock_synced=False)
    )
    assert server.mails[1]["Subject"] == "edged: 2 alerts"
    assert "(clock not set) Main door: Sleep, alarm" in server.mails[1].get_content()


def test_line_breaks_in_a_name_make_no_headers(tmp_path, server, certificates) -> None:
    """The config lets none through; what waits in the outbox may be of an older one."""
    site = Site(tmp_path, server.port, certificates, site="Gate")
    site.send(report_message("mail", {**site.report, "site": "Gate\r\nBcc: everyone@site.example\r\n\r\nHello"}))
    site.send(alert("mail", camera="x\r\nBcc: everyone@site.example"))
    for mail in server.mails:
        assert mail["Bcc"] is None
        assert "\n" not in mail["Subject"]
        assert mail["Subject"].startswith("Gate")
    assert server.recipients == [["manager@site.example"]] * 2
    site.store.close()


def test_another_certificate_is_not_accepted_and_no_password_is_sent(tmp_path, server) -> None:
    others = make_certificates(tmp_path / "others")
    site = Site(tmp_path, server.port, others)
    with pytest.raises(Unavailable, match=r"the mail server's certificate is not accepted .* check mail\.ca_file"):
        site.send(alert("mail"))
    assert (server.tries, server.mails) == (0, [])
    site.store.close()


def test_without_starttls_nothing_is_sent(tmp_path, certificates) -> None:
    with MailServer() as plain:
        site = Site(tmp_path, plain.port, certificates)
        with pytest.raises(Unavailable, match=r"STARTTLS .*check mail\.port and mail\.security"):
            site.send(alert("mail"))
        assert plain.mails == []
        site.store.close()


def test_without_encryption_only_when_asked(tmp_path) -> None:
    with MailServer() as plain:
        site = Site(tmp_path, plain.port, None, security="none", sender="edged@site.example")
        site.send(alert("mail"))
        assert len(plain.mails) == 1
        site.store.close()


def test_a_wrong_password_is_said_and_is_in_no_line(tmp_path, server, certificates, caplog) -> None:
    site = Site(tmp_path, server.port, certificates)
    (tmp_path / "password").write_text("not-the-password")
    site.store.write([_free("E1")])
    worker = site.worker()
    while site.time.now_s < 86_400:
        site.time.rest(worker.step())
    assert "user name or password wrong, or not allowed; check mail.username and mail.password_file" in str(
        worker.problem
    )
    # Each try offers the password by two mechanisms; nobody is to be shut out for trying too often.
    assert 86_400 / 900 <= server.tries <= 2 * (86_400 / 900 / 0.8 + 12)
    assert site.reader.outbox_depth("mail") == 1
    site.store.close()
    assert "not-the-password" not in caplog.text + str(worker.problem) + repr((tmp_path / "edged.db").read_bytes())


@pytest.mark.parametrize(("answer", "error"), [("554 no thanks", Failed), ("452 full", Unavailable)])
def test_a_mail_that_is_refused_is_given_up_and_one_that_cannot_be_taken_now_is_not(
    site, server, answer, error
) -> None:
    server.refusal = answer
    with pytest.raises(error, match=f"refused the mail \\({answer}\\)"):
        site.send(alert("mail"))


def test_a_mail_that_was_taken_is_sent_whatever_becomes_of_the_goodbye(site, server) -> None:
    server.hangs_up = True
    worker = site.worker()
    for number in range(6):
        site.store.write([_free(f"E{number}")])
        worker.step()
    assert (len(server.mails), worker.sent, worker.problem) == (4, 4, None), "and it counts for the hour's limit"


def test_a_recipient_that_is_refused_is_told_until_a_mail_reaches_everybody(
    tmp_path, server, certificates, caplog
) -> None:
    site = Site(tmp_path, server.port, certificates, to=["manager@site.example", "gone@site.example"])
    server.strangers = {"gone@site.example"}
    worker = site.worker()
    for number in range(3):
        site.store.write([_free(f"E{number}")])
        worker.step()
    assert server.recipients == [["manager@site.example"]] * 3
    assert (worker.sent, worker.given_up, site.reader.outbox_depth("mail")) == (3, 0, 0)
    assert worker.problem is not None
    assert all(word in worker.problem for word in ("gone@site.example", "550 no such mailbox", "mail.to"))
    assert [line.levelname for line in caplog.records if "gone@site.example" in line.getMessage()] == ["WARNING"]
    server.strangers = set()
    site.store.write([_free("E4")])
    worker.step()
    site.store.close()
    assert worker.problem is None


def test_a_server_that_says_nothing_is_given_so_long_and_no_longer(tmp_path, certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = Site(tmp_path, silent.getsockname()[1], certificates)
        with pytest.raises(Unavailable, match=r"no answer; check mail\.host"):
            site.send(alert("mail"), dial=Dial(0.5))
        site.store.close()


def test_a_mail_that_is_cut_while_it_connects_is_not_sent(site, server, monkeypatch) -> None:
    dial, connect = Dial(), connections.reach

    def connect_late(*where: Any) -> socket.socket:
        connection = connect(*where)
        dial.cut()
        return connection

    monkeypatch.setattr(connections, "reach", connect_late)
    with pytest.raises(Unavailable):
        site.send(alert("mail"), dial=dial)
    monkeypatch.undo()
    with pytest.raises(Unavailable):
        site.send(alert("mail"), dial=dial)
    assert server.mails == []


def test_nobody_listening_is_said_in_one_line(tmp_path, certificates) -> None:
    site = Site(tmp_path, free_port(), certificates)
    with pytest.raises(Unavailable, match=r"nothing listens there; check that the mail server runs, and mail\.port"):
        site.send(alert("mail"))
    site.store.close()


def test_alerts_beyond_the_hours_mails_go_together_in_the_next(site, server) -> None:
    worker = site.worker()
    for number in range(50):
        site.store.write([_free(f"E{number}")])
        site.time.rest(worker.step() * 0)
        site.time.now_s += 10
    assert len(server.mails) == 4
    site.time.now_s = 3599
    worker.step()
    assert len(server.mails) == 4
    site.time.now_s = 3601
    worker.step()
    assert server.mails[4]["Subject"] == "edged: 46 alerts"
    assert site.reader.outbox_depth("mail") == 0


def test_a_report_does_not_wait_for_alerts_that_do(site, server) -> None:
    worker = site.worker()
    for number in range(6):
        site.store.write([_free(f"E{number}")])
        worker.step()
    site.store.write([report_message("mail", site.report)])
    worker.step()
    assert [mail["Subject"] for mail in server.mails[4:]] == ["edged: report of 2026-06-02"]


def test_a_stored_report_of_another_version_is_given_up_and_the_rest_goes_on(site, server) -> None:
    worker = site.worker()
    site.store.write([report_message("mail", {"date": "2026-06-02"}), _free("E1")])
    worker.step()
    worker.step()
    assert (worker.given_up, worker.sent, len(server.mails)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"host": "smtp://mail.example"}, "alone"),
        ({"to": ["nobody"]}, "must be a mail address alone"),
        ({"to": ["a@b.example\nBcc: c@d.example"]}, "must be a mail address alone"),
        ({"to": None}, "to is missing"),
        ({"sender": None}, "sender is missing"),
        ({"sender": "Gate <a@b.example>"}, "must be a mail address alone"),
        ({"password_file": "/a"}, "password_file needs username"),
        ({"security": "none", "username": "u"}, "a username anywhere but in a private network"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path, keys, said) -> None:
    good = {"host": "smtp.example.org", "to": ["a@b.example"], "sender": "c@d.example"}
    with pytest.raises(ConfigError, match=said):
        settings(tmp_path, mail=good | keys)


def test_a_changed_password_is_taken_up_by_the_next_mail_and_while_it_is_away_mails_wait(
    site, server, tmp_path
) -> None:
    password = tmp_path / "password"
    password.write_text("the one before")
    mail = site.mail()
    with pytest.raises(Unavailable, match=r"check mail\.username and mail\.password_file"):
        mail.send([alert("mail")])
    password.unlink()
    with pytest.raises(Unavailable, match=r"key mail\.password_file = .*cannot be read"):
        mail.send([alert("mail")])
    password.write_text(PASSWORD + "\n")
    mail.send([alert("mail")])
    assert len(server.mails) == 1


def test_a_password_that_no_mail_server_takes_is_refused_and_not_repeated(tmp_path, certificates) -> None:
    site = Site(tmp_path, 25, certificates)
    (tmp_path / "password").write_text("pässwörd")
    with pytest.raises(ConfigError, match="ASCII") as refusal:
        site.mail()
    assert "wörd" not in str(refusal.value)
    site.store.close()


def _free(event_id: str) -> Message:
    """An alert whose event is not in the store."""

    return replace(alert("mail", event_id), event_id=None)
