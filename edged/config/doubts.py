"""Settings that are valid, and are surely not what was meant."""

from collections import defaultdict
from collections.abc import Iterator
from typing import get_args

from edged.config.model import PLAIN_PORT, TLS_PORT, Config
from edged.config.notify import MailConfig, WebhookConfig
from edged.config.output import ButtonInput, DoorOutput
from edged.config.source import parse_source, redact
from edged.types import Distraction, DrowsinessReason

FOLLOWED = {"mask": "mask", "inattention": "attention", "drowsiness": "drowsiness"}
EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mask": ("violations", ("incorrect", "none")),
    "attention": ("distractions", get_args(Distraction)),
    "drowsiness": ("reasons", get_args(DrowsinessReason)),
}
"""By table: the key that says what makes an event, and what it may name."""
PLAYED = ("file", "images")
"""Sources that several cameras may read at once without harm."""


def doubts(config: Config) -> Iterator[str]:
    """One line for each: key, value, what it comes to, and what was probably meant."""
    target = config.report.target_percent
    if target is not None and 0 < target <= 1:
        yield f"key report.target_percent = {target:g}: is {target:g} of 100 percent; for {100 * target:g} % write that number"
    mqtt = config.mqtt
    if mqtt.host is not None and mqtt.port == TLS_PORT and not mqtt.tls:
        yield f"key mqtt.port = {TLS_PORT}: is the port of encrypted connections; write tls = true, or port = {PLAIN_PORT}"
    if mqtt.host is not None and mqtt.port == PLAIN_PORT and mqtt.tls:
        yield f"key mqtt.port = {PLAIN_PORT}: is the port of connections without TLS; leave port out, or write {TLS_PORT}"
    if config.mqtt.host is None and any(value is not None for value in (mqtt.port, mqtt.username, mqtt.password_file)):
        yield "table [mqtt]: has no host, so that nothing is published; write host with the broker's name or address"
    yield from _nowhere(config)
    yield from _never_alerting(config)
    cameras: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, camera in config.camera.items():
        source = parse_source(camera.source)
        if source.scheme not in PLAYED:
            cameras[source.scheme, source.path or source.uri, camera.region, camera.profile].append(name)
    for names in cameras.values():
        if len(names) > 1:
            shown = redact(config.camera[names[0]].source)
            yield f"cameras {', '.join(names)}: share the source {shown}, and count each person {len(names)} times"


def _nowhere(config: Config) -> Iterator[str]:
    """Channels that are set up but for where they lead to."""
    if config.webhook.url is None and config.webhook != WebhookConfig():
        yield "table [webhook]: has no url, so that nothing is posted; write url with the receiver's address"
    if config.mail.host is None and config.mail != MailConfig():
        yield "table [mail]: has no host, so that nothing is mailed; write host with the mail server's name or address"


def _never_alerting(config: Config) -> Iterator[str]:
    """Outputs with a rule that none of their cameras follows."""
    for name, output in config.output.items():
        if isinstance(output, ButtonInput):
            continue
        rules = ("mask_correct",) if isinstance(output, DoorOutput) else output.when
        cameras = [camera for door, camera in config.camera.items() if not output.cameras or door in output.cameras]
        for rule in rules:
            kind, _, state = rule.partition("_")
            table = FOLLOWED.get(kind)
            if table is None:
                continue
            following = [camera for camera in cameras if getattr(camera.tasks, table)]
            key, can_be = EVENTS[table]
            if not following:
                yield f"table [output.{name}]: waits for {rule}, and no camera of it follows {table}; see the cameras' profile"
            elif state in can_be and not any(state in getattr(getattr(one, table), key) for one in following):
                yield f"table [output.{name}]: waits for {rule}, which {table}.{key} leaves out; add it there"
