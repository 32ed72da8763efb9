"""What people do with webhook and mail: the example receiver, a report sent by hand, the doctor, and the report of each day."""

import json
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from report_days import MINUTE, encounter, span, watched
from support.mosquitto import Certificates, free_port, make_certificates, until
from support.receivers import MailServer, Receiver, alert, report_message, settings
from support.storing import HandClock
from test_docs import blocks

from edged import doctor
from edged.cli import cli
from edged.config import load_config
from edged.daemon.reporter import Reporter
from edged.deliver.webhook import Webhook
from edged.errors import Failed, Unavailable
from edged.host.clock import WatchedClock
from edged.store import Store, StoreReader

DAY = date(2026, 6, 2)
USER, PASSWORD = "edged@site.example", "pass-of-the mail/server"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_the_receiver_in_the_documentation_prints_what_is_signed_once(tmp_path) -> None:
    [program] = [text for _, title, text in blocks("python") if "receive.py" in title]
    assert len([line for line in program.splitlines() if line.strip()]) <= 16
    (tmp_path / "receive.py").write_text(program)
    (tmp_path / "secret").write_text("shared\n")
    (tmp_path / "other").write_text("not shared\n")
    port, lines = free_port(), []
    command = [sys.executable, "receive.py", "secret", str(port)]

    def hook(secret: str | None) -> Webhook:
        keys = {"secret_file": str(tmp_path / secret)} if secret else {}
        return Webhook(settings(tmp_path, webhook={"url": f"http://127.0.0.1:{port}/", **keys}).webhook, "hall")

    def posted(*messages: object) -> bool:
        try:
            hook("secret").send(messages)  # type: ignore[arg-type]
        except Unavailable:
            return False
        return True

    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as receiver:
        try:
            threading.Thread(target=lambda: lines.extend(iter(receiver.stdout.readline, "")), daemon=True).start()
            assert until(lambda: posted(alert("webhook", "E1")))
            for secret in ("other", None):
                with pytest.raises(Failed, match=r"401 .*webhook\.secret_file"):
                    hook(secret).send([alert("webhook", "E2")])
            assert posted(alert("webhook", "E1"))
            assert posted(report_message("webhook", {"date": "2026-06-02"}))
            assert until(lambda: len(lines) == 2)
            assert lines == ["hall/E1/1 mask_incorrect\n", "hall/2026-06-02/1 daily report\n"]
        finally:
            receiver.kill()


@pytest.fixture
def site(tmp_path, certificates):
    """A config file with a mail server, and a day in its database."""
    with MailServer(certificates, USER, PASSWORD) as server, Receiver(certificates) as receiver:
        (tmp_path / "password").write_text(PASSWORD)
        lines = [
            "[device]", 'id = "hall"', "[store]", f"path = {json.dumps(str(tmp_path / 'edged.db'))}",
            "[webhook]", f"url = {json.dumps(receiver.url)}", f"ca_file = {json.dumps(str(certificates.ca))}",
            "[mail]", 'host = "127.0.0.1"', f"port = {server.port}", f"username = {json.dumps(USER)}",
            f"password_file = {json.dumps(str(tmp_path / 'password'))}", f"ca_file = {json.dumps(str(certificates.ca))}",
            'to = ["manager@site.example"]', "[camera.door]", 'source = "file:///nothing.mp4"',
        ]  # fmt: skip
        (tmp_path / "edged.toml").write_text("\n".join(lines) + "\n")
        begin, end = span(DAY, "UTC")
        with Store(tmp_path / "edged.db") as store:
            passages = [encounter(n, begin + (60 * n + 1) * MINUTE, ("none", "correct")[n % 2]) for n in range(24)]
            store.write([*watched(begin, end), *passages])
        yield server


def ask(folder: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["report", *arguments, "--config", str(folder / "edged.toml")])
    return done.exit_code, done.output + str(done.exception or "")


def test_a_report_is_mailed_by_hand_and_what_happened_is_said(tmp_path, site) -> None:
    code, said = ask(tmp_path, "2026-06-02", "--mail")
    assert (code, said.strip()) == (
        0, f"report of 2026-06-02: 127.0.0.1:{site.port} took it for manager@site.example",
    )  # fmt: skip
    assert [part.get_filename() for part in site.mails[0].iter_attachments()] == ["2026-06-02.html", "2026-06-02.csv"]
    assert ask(tmp_path, "2026-06-02", "--month", "--mail")[0] == 0
    assert site.mails[1]["Subject"] == "edged: report of 2026-06-01-month"


def test_what_goes_wrong_with_a_mail_by_hand_is_said_in_one_line(tmp_path, site) -> None:
    (tmp_path / "password").write_text("not-the-password")
    done = subprocess.run(
        [sys.executable, "-m", "edged", "report", "2026-06-02", "--mail", "--config", str(tmp_path / "edged.toml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 69
    assert "user name or password wrong" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "not-the-password" not in done.stderr
    assert ask(tmp_path, "2026-06-02", "--mail", "--format", "csv")[0] != 0
    assert site.mails == []


def test_the_doctor_says_whether_both_answer_and_sends_nothing(tmp_path, site, certificates) -> None:
    def found() -> dict[str, tuple[str, str]]:
        config = load_config(tmp_path / "edged.toml")
        return {one.what: (one.verdict, one.line) for one in doctor._channels(config, None)}

    assert found()["mail"] == ("ok", f"127.0.0.1:{site.port} answers")
    assert found()["webhook"][0] == "ok"
    assert "nothing is signed" in found()["webhook"][1]
    (tmp_path / "password").write_text("not-the-password")
    assert found()["mail"][0] == "problem"
    (tmp_path / "password").unlink()
    assert "key mail.password_file" in found()["mail"][1]
    assert site.mails == []


class Kept:
    """Takes what the reporter submits, as the store's thread does; it may be in trouble."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problem: str | None = None
        self.groups: list[object] = []

    def submit(self, changes) -> None:
        self.groups.append(changes)
        if self.problem is None:
            self.store.write(changes)


def test_each_days_report_waits_for_each_channel_and_once_through_a_full_disk(tmp_path) -> None:
    begin, end = span(DAY, "UTC")
    config = settings(
        tmp_path,
        webhook={"url": "https://a.example/"},
        mail={"host": "m.example", "to": ["a@b.example"], "sender": "c@d.example"},
    )
    with Store(tmp_path / "edged.db") as store:
        store.write([*watched(begin, end), encounter(1, begin + MINUTE, "none")])
        clock, kept = HandClock(utc=end + 600_000), Kept(store)
        watched_clock = WatchedClock(clock)
        clock.pass_s(1000)
        reporter = Reporter(config, StoreReader(store.path), kept, watched_clock, lambda text: None, {})  # type: ignore[arg-type]
        kept.problem = "the disk is full"
        for _ in range(5):
            reporter.check()
            clock.pass_s(1000)
            made = (config, StoreReader(store.path), kept, watched_clock, lambda text: None, {})
            reporter = Reporter(*made, reporter.submitted)  # type: ignore[arg-type]  as a reload does
        assert len(kept.groups) == 1
        kept.problem = None
        store.write(kept.groups[0])  # type: ignore[arg-type]
        reporter.check()
        assert len(kept.groups) == 1
        reader = StoreReader(store.path)
        for channel in ("webhook", "mail"):
            (message,) = reader.outbox_after(0, 10, channel)
            assert message.payload == reader.report(DAY.isoformat())["report"]
        assert reader.outbox_after(0, 10) == []
