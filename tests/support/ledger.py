"""Compares what a daemon has in its database with what a subscriber has heard: nothing lost, nothing out of order."""

import json
from collections import defaultdict

from support.daemon import Daemon
from support.mosquitto import Subscriber, until

OPEN_EVENTS = "SELECT count(*) FROM events WHERE ended_at IS NULL"
UNACCOUNTED = (
    "SELECT event_id, seq, acked_seq FROM events WHERE seq - acked_seq !="
    " (SELECT count(*) FROM outbox WHERE outbox.event_id = events.event_id AND event_seq > acked_seq)"
)
ORPHANS = "SELECT seq FROM outbox WHERE event_id IS NOT NULL AND event_id NOT IN (SELECT event_id FROM events)"


def check_books(daemon: Daemon) -> None:
    """Each step of each event is acknowledged or waits; the file is sound."""
    assert daemon.rows("PRAGMA integrity_check") == [("ok",)]
    assert daemon.rows(UNACCOUNTED) == []
    assert daemon.rows(ORPHANS) == []


def deliver_the_rest(daemon: Daemon, port: int, timeout_s: float = 60.0) -> None:
    """Start it with nothing to see, so that it only tells what waits, and stop it in order."""
    daemon.write_config({"door": "file:///nothing.mp4"}, port=port, camera_extra="stall_seconds = 300")
    daemon.start()
    assert until(lambda: daemon.status().get("outbox") == 0, timeout_s), daemon.log
    assert daemon.stop() == 0, daemon.log


def heard_steps(subscriber: Subscriber, topic: str = "edged/dev1/events") -> dict[str, list[int]]:
    """The numbers of each event's messages, in the order of their first arrival."""
    steps: defaultdict[str, list[int]] = defaultdict(list)
    for payload in subscriber.payloads(topic):
        message = json.loads(payload)
        if message["seq"] not in steps[message["event_id"]]:
            steps[message["event_id"]].append(message["seq"])
    return steps


def check_all_was_heard(daemon: Daemon, subscriber: Subscriber) -> int:
    """Every step of every stored event was heard, in order, and every end was an end; return how many events."""
    stored = dict(daemon.rows("SELECT event_id, seq FROM events"))
    until(lambda: sum(map(len, heard_steps(subscriber).values())) >= sum(stored.values()))
    heard = heard_steps(subscriber)
    assert heard.keys() == stored.keys()
    assert {event: steps for event, steps in heard.items() if steps != list(range(1, stored[event] + 1))} == {}
    assert daemon.count(OPEN_EVENTS) == 0
    assert daemon.rows("SELECT event_id FROM events WHERE acked_seq != seq") == []
    return len(stored)
