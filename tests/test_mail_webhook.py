"""The webhook: what is posted and how it is signed, and what becomes of it when the receiver is in trouble."""

import hashlib
import hmac
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import Certificates, free_port, make_certificates, until
from support.receivers import HandTime, Receiver, Writer, alert, endless, report_message, settings, trickle

from edged.connections import Dial
from edged.deliver import ChannelWorker
from edged.deliver.webhook import Webhook
from edged.errors import ConfigError, Failed, Unavailable
from edged.store import Store, StoreReader

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def receiver(certificates: Certificates):
    with Receiver(certificates) as running:
        yield running


def webhook(
    folder: Path, receiver: Receiver, certificates: Certificates | None, dial: Dial | None = None, **keys: Any
) -> Webhook:
    """The transport as the daemon builds it; `secret` is written to a file."""
    secret = keys.pop("secret", None)
    if secret is not None:
        (folder / "secret").write_text(secret + "\n")
        keys["secret_file"] = str(folder / "secret")
    if certificates is not None:
        keys["ca_file"] = str(certificates.ca)
    return Webhook(settings(folder, webhook={"url": receiver.url, **keys}).webhook, "hall", dial)


def test_an_alert_arrives_as_mqtt_carries_it_signed_and_with_its_key(tmp_path, receiver, certificates) -> None:
    message = alert("webhook", "01XYZ", 2)
    webhook(tmp_path, receiver, certificates, secret="a secret of the owner's").send([message])  # noqa: S106
    (post,) = receiver.posts
    assert (post.path, post.body.decode()) == ("/edged", message.payload)
    assert post.key == "hall/01XYZ/2"
    assert (post.headers["edged-device"], post.headers["edged-topic"]) == ("hall", "camera/door/violation")
    signature = hmac.new(b"a secret of the owner's", post.body, hashlib.sha256).hexdigest()
    assert post.headers["edged-signature"] == f"sha256={signature}"
    assert post.headers["content-type"] == "application/json"


def test_a_changed_secret_signs_the_next_message_and_while_it_is_away_messages_wait(
    tmp_path, receiver, certificates
) -> None:
    hook = webhook(tmp_path, receiver, certificates, secret="the one before")  # noqa: S106
    secret = tmp_path / "secret"
    secret.unlink()
    with pytest.raises(Unavailable, match=r"key webhook\.secret_file = .*cannot be read"):
        hook.send([alert("webhook")])
    assert receiver.posts == []
    secret.write_text("the one now\n")
    hook.send([alert("webhook")])
    (post,) = receiver.posts
    signature = hmac.new(b"the one now", post.body, hashlib.sha256).hexdigest()
    assert post.headers["edged-signature"] == f"sha256={signature}"


def test_a_changed_certificate_file_is_taken_up(tmp_path, receiver, certificates) -> None:
    others, file = make_certificates(tmp_path / "others"), tmp_path / "ca.pem"
    file.write_bytes(others.ca.read_bytes())
    hook = webhook(tmp_path, receiver, None, ca_file=str(file))
    with pytest.raises(Unavailable, match="not accepted"):
        hook.send([alert("webhook")])
    file.write_bytes(certificates.ca.read_bytes())
    hook.send([alert("webhook")])
    assert len(receiver.posts) == 1


def test_a_report_has_its_day_and_revision_for_a_key(tmp_path, receiver, certificates) -> None:
    webhook(tmp_path, receiver, certificates).send([report_message("webhook", {"date": "2026-11-19", "revision": 2})])
    assert receiver.posts[0].key == "hall/2026-11-19/2"
    assert "edged-signature" not in receiver.posts[0].headers


def test_another_certificate_is_not_accepted_and_nothing_is_posted(tmp_path, receiver, certificates) -> None:
    others = make_certificates(tmp_path / "others")
    with pytest.raises(
        Unavailable, match=r"127\.0\.0\.1:\d+: the receiver's certificate is not accepted .*webhook\.ca_file"
    ):
        webhook(tmp_path, receiver, others).send([alert("webhook")])
    with pytest.raises(Unavailable, match="not accepted"):
        webhook(tmp_path, receiver, None).send([alert("webhook")])
    assert receiver.posts == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_what_may_work_later_is_tried_again(tmp_path, receiver, certificates, status: int) -> None:
    receiver.answer = status
    with pytest.raises(Unavailable, match=f"answered {status} "):
        webhook(tmp_path, receiver, certificates).send([alert("webhook")])


@pytest.mark.parametrize(
    ("status", "remedy"), [(400, "see its log"), (401, "secret_file"), (404, "path"), (413, "log")]
)
def test_what_never_works_is_given_up(tmp_path, receiver, certificates, status: int, remedy: str) -> None:
    receiver.answer = status
    with pytest.raises(Failed, match=f"answered {status} .*{remedy}"):
        webhook(tmp_path, receiver, certificates).send([alert("webhook")])


def test_a_redirect_is_not_followed_and_nothing_is_lost(tmp_path, receiver, certificates) -> None:
    receiver.answer = 302
    with pytest.raises(Unavailable, match=r"has moved: write the new address into webhook\.url"):
        webhook(tmp_path, receiver, certificates).send([alert("webhook")])


def test_a_receiver_that_trickles_its_answer_is_given_so_long_and_no_longer(tmp_path, receiver, certificates) -> None:
    receiver.answer = trickle
    with pytest.raises(Unavailable, match=r"no answer; check webhook\.url"):
        webhook(tmp_path, receiver, certificates, Dial(1.0)).send([alert("webhook")])


def test_a_handshake_that_never_ends_is_cut_off(tmp_path, certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        hook = Webhook(settings(tmp_path, webhook={"url": url}).webhook, "hall", Dial(0.5))
        with pytest.raises(Unavailable, match="no answer"):
            hook.send([alert("webhook")])


def test_an_answer_of_any_length_is_left_unread(tmp_path, receiver, certificates) -> None:
    receiver.answer = endless
    webhook(tmp_path, receiver, certificates, Dial(30)).send([alert("webhook")])
    assert len(receiver.posts) == 1


def test_a_huge_body_arrives_whole(tmp_path, receiver, certificates) -> None:
    webhook(tmp_path, receiver, certificates).send(
        [report_message("webhook", {"date": "2026-11-19", "x": "y" * 5_000_000})]
    )
    assert len(receiver.posts[0].body) > 5_000_000


def test_nobody_listening_is_said_in_one_line_without_the_path(tmp_path) -> None:
    url = f"http://127.0.0.1:{free_port()}/hooks/a-token-in-the-path?key=another"
    with pytest.raises(Unavailable) as refusal:
        Webhook(settings(tmp_path, webhook={"url": url}).webhook, "hall").send([alert("webhook")])
    assert "nothing listens there" in str(refusal.value)
    assert "token" not in str(refusal.value)
    assert "another" not in str(refusal.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "alerts.example.org"}, "must be a whole address"),
        ({"url": "ftp://alerts.example.org/"}, "must be a whole address"),
        ({"url": "https://alerts.example.org/a b"}, "must be a whole address"),
        ({"url": "https://alerts.example.org/\r\nX: y"}, "must be a whole address"),
        ({"url": "https://user:pass-of-a-receiver@alerts.example.org/"}, "take them out"),
        ({"url": "http://alerts.example.org/"}, "write https, or set allow_http"),
        ({"url": "http://8.8.8.8/"}, "write https, or set allow_http"),
        ({"url": "http://192.168.1.7/", "ca_file": "/a"}, "ca_file needs an https url"),
    ],
)
def test_an_address_that_cannot_work_is_refused_and_not_repeated(tmp_path, keys, said) -> None:
    with pytest.raises(ConfigError, match=said) as refusal:
        settings(tmp_path, webhook=keys)
    assert "pass-of-a-receiver" not in str(refusal.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "http://127.0.0.1:8080/"},
        {"url": "http://localhost/"},
        {"url": "http://[::1]:8080/"},
        {"url": "http://192.168.1.7/hook"},
        {"url": "http://alerts.example.org/", "allow_http": True},
        {"url": "https://alerts.example.org:8443/hook?key=1"},
    ],
)
def test_an_address_that_may_be_used_passes(tmp_path, keys) -> None:
    assert settings(tmp_path, webhook=keys).webhook.url == keys["url"]


# The thread between outbox and receiver.


class Site:
    """A database with messages, and the worker that posts them; waits take no time."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.time = HandTime()
        self.store = Store(folder / "edged.db")
        self.reader = StoreReader(folder / "edged.db")
        self.writer = Writer(self.store)
        self.receiver = receiver
        self.hook = webhook(folder, receiver, None, secret="a secret")  # noqa: S106
        self.worker = ChannelWorker("webhook", self.hook, self.reader, self.writer, self.time.rest)

    def turn(self) -> None:
        """One step, and its wait."""
        self.time.rest(self.worker.step())

    def deliver(self) -> None:
        while self.reader.outbox_depth("webhook"):
            self.turn()


@pytest.fixture
def site(tmp_path):
    with Receiver() as receiver:
        made = Site(tmp_path, receiver)
        yield made
        made.store.close()


def test_a_day_of_500_loses_nothing_and_asks_once_a_minute(site) -> None:
    site.store.write([_free(number) for number in range(20)])
    site.receiver.answer = 500
    while site.time.now_s < DAY_S:
        site.turn()
    assert "answered 500" in str(site.worker.problem)
    assert DAY_S / 60 <= len(site.receiver.posts) <= DAY_S / 60 / 0.8 + 20
    site.receiver.answer = 200
    tried = len(site.receiver.posts)
    site.deliver()
    assert site.worker.problem is None
    assert sorted(post.key for post in site.receiver.posts[tried:]) == sorted(
        f"hall/E{number}/1" for number in range(20)
    )
    assert (site.worker.sent, site.worker.given_up) == (20, 0)


def test_a_message_that_always_fails_holds_up_no_other(site) -> None:
    site.store.write([_free(number) for number in range(5)])
    site.receiver.answer = lambda handler: 500 if handler.headers["Idempotency-Key"] == "hall/E0/1" else 200
    assert until(lambda: site.turn() or site.reader.outbox_depth("webhook") == 1)
    assert {post.key for post in site.receiver.posts} == {f"hall/E{number}/1" for number in range(5)}


def test_what_is_refused_for_good_is_counted_and_the_rest_goes_on(site) -> None:
    site.store.write([_free(number) for number in range(3)])
    site.receiver.answer = lambda handler: 400 if handler.headers["Idempotency-Key"] == "hall/E1/1" else 200
    site.deliver()
    assert (site.worker.sent, site.worker.given_up) == (2, 1)


def test_a_receiver_that_refuses_everything_does_not_empty_the_outbox_at_once(site) -> None:
    """It is being set up: a few minutes of 404 cost a few messages."""
    site.store.write([_free(number) for number in range(100)])
    site.receiver.answer = 404
    while site.time.now_s < 300:
        site.turn()
    assert site.worker.given_up < 15
    assert "what it refuses is given up" in str(site.worker.problem)


def test_a_full_disk_repeats_nothing(site) -> None:
    """What was posted cannot be deleted from the outbox yet."""
    site.store.write([_free(number) for number in range(3)])
    site.writer.reaches_disk = False
    for _ in range(20):
        site.turn()
    assert len(site.receiver.posts) == 3
    for seq in list(site.writer.acknowledged):
        site.writer.reaches_disk = True
        site.writer.acknowledge(seq)
    site.turn()
    assert (site.reader.outbox_depth(), len(site.receiver.posts)) == (0, 3)


@pytest.mark.parametrize(
    "damage",
    [
        "payload = 'x'",
        "payload = CAST(x'7bff7d' AS TEXT)",
        "topic = 'camera/' || char(13) || 'door/violation'",
        "topic = CAST(x'ff' AS TEXT)",
        """payload = replace(payload, '"E0"', '"E\\n0"')""",
        """payload = replace(payload, '"E0"', '"\\ud800"')""",
    ],
)
def test_a_damaged_message_is_given_up_and_the_others_go_on(site, damage: str) -> None:
    site.store.write([_free(0), _free(1)])
    site.store.execute(f"UPDATE outbox SET {damage} WHERE seq = 1")  # noqa: S608
    site.deliver()
    assert (site.worker.given_up, [post.key for post in site.receiver.posts]) == (1, ["hall/E1/1"])


def test_a_worker_that_hangs_stops_in_time_and_what_it_held_stays(site) -> None:
    site.store.write([_free(0)])
    site.receiver.answer = trickle
    worker = ChannelWorker("webhook", site.hook, site.reader, site.writer)
    worker.start()
    assert until(lambda: site.receiver.posts)
    assert worker.stop(20.0), "and not when the whole conversation has lasted too long"
    assert (worker.problem, site.reader.outbox_depth("webhook")) == (None, 1)


def test_no_secret_and_no_path_is_in_any_line_or_in_the_database(site, caplog, tmp_path) -> None:
    site.store.write([_free(0)])
    site.receiver.answer = 401
    site.turn()
    site.store.close()
    kept = caplog.text + str(site.worker.problem) + repr((tmp_path / "edged.db").read_bytes())
    assert "answered 401" in kept
    assert "a secret" not in kept.replace("the receiver's secret", "")
    assert "/edged" not in caplog.text


def _free(number: int) -> Any:
    """An alert whose event is not in the store."""
    return replace(alert("webhook", f"E{number}"), event_id=None)


def test_the_payload_is_the_one_that_the_schema_describes(tmp_path, receiver, certificates) -> None:
    webhook(tmp_path, receiver, certificates).send([alert("webhook")])
    assert json.loads(receiver.posts[0].body)["event_type"] == "mask_incorrect"
