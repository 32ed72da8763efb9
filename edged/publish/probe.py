"""Tries the broker once, for `edged doctor`: would the daemon be let in?"""

import time

from edged.config import MqttConfig
from edged.publish.connection import Connection
from edged.publish.credentials import read_password
from edged.publish.problems import LinkDown, no_answer
from edged.publish.sockets import Waker

CONNECT_S = 5.0


def probe_broker(config: MqttConfig, device_id: str) -> str | None:
    """None when the broker accepts us, else one line that says why not. Raise ConfigError for unusable credentials."""
    waker = Waker()
    # An identity of its own: with the daemon's, the broker would throw the daemon out.
    connection = Connection(
        config,
        f"{device_id}-doctor",
        read_password(config),
        will=None,  # a probe that is killed must leave nothing behind
        connect_s=CONNECT_S,
        waker=waker,
    )
    try:
        connection.dial()
        deadline = time.monotonic() + CONNECT_S
        while not connection.accepted:
            if time.monotonic() >= deadline:
                return no_answer(config)
            connection.turn(0.2)
    except LinkDown as error:
        return str(error)
    finally:
        connection.close(farewell=True)
        waker.close()
    return None
