"""Facts about network streams that the config and the capture process share; the latter loads no config."""

USUAL_PORTS = {"rtsp": 554, "rtsps": 322}
