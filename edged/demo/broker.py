"""A small MQTT broker and a subscriber inside the demo's own process (amqtt), for machines that have neither."""

import asyncio
import logging
import re
import shlex
import socket
import sys
import threading
from collections.abc import Callable
from importlib.metadata import requires

from edged.errors import Unavailable

MESSAGE_WAIT_S = 0.5


class DemoBroker:
    """Runs broker and subscriber in one thread; `received` is called for every message of edged's topics, with topic and text."""

    def __init__(self, received: Callable[[str, str], None]) -> None:
        """Raise Unavailable when amqtt is not installed."""
        try:
            import amqtt.broker  # noqa: F401
        except ImportError:
            raise Unavailable(f"the demo's broker is not installed; run: {_install()}") from None
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self.port = free_port()
        self._received = received
        self._listening = threading.Event()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="demo-broker", daemon=True)

    def start(self) -> None:
        """Return once the subscriber listens. Raise Unavailable when that fails."""
        self._thread.start()
        if not self._listening.wait(15) or self._failure is not None:
            raise Unavailable(f"the demo's broker did not start on port {self.port} ({self._failure}); try again")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  whatever amqtt raises ends the demo with one line
            self._failure = error
            self._listening.set()

    async def _serve(self) -> None:
        from amqtt.broker import Broker
        from amqtt.client import MQTTClient
        from amqtt.mqtt.constants import QOS_1

        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        subscriber = MQTTClient(config={"auto_reconnect": False})
        await subscriber.connect(f"mqtt://127.0.0.1:{self.port}/")
        await subscriber.subscribe([("edged/#", QOS_1)])
        self._listening.set()
        while not self._stopping.is_set():
            try:
                message = await subscriber.deliver_message(timeout_duration=MESSAGE_WAIT_S)
            except asyncio.TimeoutError:
                continue
            if message is not None and message.data is not None:
                self._received(message.topic, bytes(message.data).decode())
        await subscriber.disconnect()
        await broker.shutdown()


def _install() -> str:
    """The command that installs what the extra `demo` names, whichever way edged itself was installed."""
    named = (text.partition(";") for text in requires("edged") or ())
    requested = [name.strip() for name, _, condition in named if re.search(r"""extra == ['"]demo['"]""", condition)]
    return shlex.join([sys.executable, "-m", "pip", "install", *requested])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
