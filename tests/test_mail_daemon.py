"""The whole way: the daemon's alerts reach broker, webhook and mailbox, each by itself, through crashes and reloads."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlite_utils import Database
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Certificates, make_certificates, until
from support.receivers import MailServer, Receiver, trickle

from edged.cli import cli
from edged.store import Store, StoreReader
from edged.store.schema import MIGRATIONS

USER, PASSWORD = "edged@site.example", "pass-of-the mail/server"
pytestmark = needs_models


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def tables(folder: Path, ca: Path, url: str | None = None, mail_port: int | None = None) -> str:
    """The config's tables for these, with their secrets in files."""
    (folder / "secret").write_text("the-secret-of-the-hook\n")
    (folder / "password").write_text(PASSWORD + "\n")
    lines = []
    if url is not None:
        lines += ["[webhook]", f'url = "{url}"', f'ca_file = "{ca}"', f'secret_file = "{folder / "secret"}"']
    if mail_port is not None:
        lines += ["[mail]", 'host = "127.0.0.1"', f"port = {mail_port}", f'ca_file = "{ca}"', f'username = "{USER}"']
        lines += [f'password_file = "{folder / "password"}"', 'to = ["manager@site.example"]', "alerts = true"]
    return "\n".join(lines)


def test_alerts_reach_every_channel_and_no_secret_is_kept(tmp_path, clip, certificates) -> None:
    """One server hangs meanwhile: the mail does not wait for it, and after a crash it gets the same keys again."""
    with Receiver(certificates) as receiver, MailServer(certificates, USER, PASSWORD) as server:
        receiver.answer = trickle
        extra = tables(tmp_path, certificates.ca, receiver.url, server.port)
        with Daemon(tmp_path, {"door": looped(clip)}, extra=extra) as daemon:
            daemon.start()
            assert until(lambda: server.mails and receiver.posts), daemon.log
            first = receiver.posts[0].key
            assert server.mails[0].get_content()
            daemon.kill()
            receiver.answer = 200
            before = len(receiver.posts)
            daemon.start()
            assert until(lambda: len(receiver.posts) > before + 2), daemon.log
            keys = [post.key for post in receiver.posts[before:]]
            assert first in keys
            assert len(set(keys)) == len(keys)
            assert until(lambda: daemon.status()["channels"]["webhook"]["sent"] > 2)
            status = daemon.status()
            assert status["channels"]["webhook"]["problem"] is None
            shown = CliRunner().invoke(cli, ["status", "--config", str(daemon.config)]).output
            assert "webhook: " in shown
            assert " messages sent" in shown

            moved = Receiver(certificates)
            with moved:
                daemon.write_config(
                    {"door": looped(clip)}, extra=tables(tmp_path, certificates.ca, moved.url, server.port)
                )
                daemon.signal(signal.SIGHUP)
                assert until(lambda: moved.posts), daemon.log
                daemon.write_config({"door": looped(clip)})
                daemon.signal(signal.SIGHUP)
                assert until(lambda: not daemon.status()["channels"]), daemon.log
            assert daemon.stop() == 0
            kept = daemon.log + repr(daemon.database.read_bytes()) + json.dumps(status)
            for secret in (PASSWORD, "the-secret-of-the-hook", "Traceback"):
                assert secret not in kept


def test_what_waits_for_a_channel_that_is_gone_is_said_once_and_dropped(tmp_path, clip, certificates) -> None:
    with Receiver(certificates) as receiver:
        receiver.answer = 500
        with Daemon(tmp_path, {"door": looped(clip)}, extra=tables(tmp_path, certificates.ca, receiver.url)) as daemon:
            daemon.start()
            assert until(lambda: len(receiver.posts) > 1), daemon.log
            assert until(lambda: any("answered 500" in line for line in daemon.status()["errors"])), daemon.log
            daemon.stop()
            assert waiting(daemon.database) > 0
            daemon.write_config({"door": looped(clip)})
            daemon.start()
            assert until(lambda: waiting(daemon.database) == 0), daemon.log
            said = "they waited for [webhook], which is not configured any more"
            assert until(lambda: daemon.log.count(said) == 1)


def waiting(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM outbox WHERE channel = 'webhook'").fetchone()[0])


def test_the_migration_keeps_what_waits_for_the_broker(tmp_path) -> None:
    path = tmp_path / "edged.db"
    with closing(sqlite3.connect(path)) as connection:
        database: Any = Database(connection)
        MIGRATIONS.apply(database, stop_before="0006_channels")
        connection.execute("INSERT INTO outbox (topic, payload, qos, retain, created) VALUES ('events', '{}', 1, 0, 1)")
        connection.commit()
    Store(path).close()
    assert [file.name for file in (tmp_path / "backups").iterdir()] == ["edged-before-0006_channels.db"]
    (kept,) = StoreReader(path).outbox_after(0, 10)
    assert (kept.channel, kept.seq) == ("mqtt", 1)
    assert StoreReader(path).outbox_after(0, 10, "webhook") == []
