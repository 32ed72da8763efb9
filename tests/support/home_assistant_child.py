"""Home Assistant itself, without a screen, run by the Python of its own environment: see `support.home_assistant`."""

import asyncio
import json
import sys
from typing import Any

import voluptuous
from homeassistant import bootstrap, core, loader
from homeassistant.components.mqtt import abbreviations, binary_sensor, button, event, schemas, sensor
from homeassistant.helpers import frame

PLATFORMS = {"binary_sensor": binary_sensor, "button": button, "event": event, "sensor": sensor}


async def serve(folder: str, broker_port: int, http_port: int) -> None:
    """Set up MQTT as a person does in the user interface, print an access token, and serve until killed."""
    bootstrap.DEFAULT_INTEGRATIONS.clear()  # the user interface, backups, … are other packages
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    http = {"server_host": ["127.0.0.1"], "server_port": http_port}
    assert await bootstrap.async_from_config_dict({"homeassistant": {}, "http": http, "api": {}}, hass)
    flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
    broker = {"broker": "127.0.0.1", "port": broker_port}
    done = await hass.config_entries.flow.async_configure(flow["flow_id"], broker)
    assert done["type"] == "create_entry", done
    await hass.async_start()
    user = await hass.auth.async_create_system_user("tests", group_ids=["system-admin"])
    token = await hass.auth.async_create_refresh_token(user)
    print(hass.auth.async_create_access_token(token), flush=True)
    await asyncio.Event().wait()


def mistakes(payload: dict[str, Any]) -> list[str]:
    """What Home Assistant's own schemas dislike in a device's discovery payload: one line for each component."""
    long = {**abbreviations.ABBREVIATIONS, "p": "platform"}
    origin = {abbreviations.ORIGIN_ABBREVIATIONS.get(key, key): value for key, value in payload["o"].items()}
    device = {abbreviations.DEVICE_ABBREVIATIONS.get(key, key): value for key, value in payload["dev"].items()}
    shared = {"availability_topic": payload["availability_topic"], "qos": payload["qos"]}
    components = {
        name: {long.get(key, key): value for key, value in component.items()}
        for name, component in payload["cmps"].items()
    }
    found = []
    try:
        whole = {"device": device, "origin": origin, "components": components, **shared}
        schemas.DEVICE_DISCOVERY_SCHEMA(whole)
    except voluptuous.Invalid as error:
        found.append(f"the device: {error}")
    for name, written in components.items():
        platform = PLATFORMS[written.pop("platform")]
        try:
            known = platform.DISCOVERY_SCHEMA({**shared, "device": device, "origin": origin, **written})
            found += [f"{name}: {key} is unknown, and passed over" for key in written.keys() - known.keys()]
        except voluptuous.Invalid as error:
            found.append(f"{name}: {error}")
    return found


async def check(payload: dict[str, Any]) -> None:
    """Print the mistakes; templates are compiled for a Home Assistant that exists."""
    frame.async_setup(core.HomeAssistant(""))
    print(json.dumps(mistakes(payload)))


if __name__ == "__main__":
    if sys.argv[1] == "schemas":
        asyncio.run(check(json.load(sys.stdin)))
    else:
        asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
