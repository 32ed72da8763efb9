"""A real RTSP server, which shows GStreamer's test picture or the JPEG files of a folder, again and again.

Run as `/usr/bin/python3 rtsp_server.py PORT [--credentials USER:PASSWORD] [--pictures FOLDER]` by the system's Python, which
has GStreamer's bindings. It prints "ready" once it listens, and serves at /door.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

TEST_PICTURE = "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=15/1"
PICTURES = (
    "multifilesrc location={}/%04d.jpg loop=true caps=image/jpeg,framerate={}/1 "
    "! jpegdec ! videoconvert ! video/x-raw,format=I420"
)
FPS = 15
STREAM = "x264enc tune=zerolatency key-int-max=15 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--credentials")
    parser.add_argument("--pictures")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    shown = PICTURES.format(arguments.pictures, FPS) if arguments.pictures else TEST_PICTURE
    factory.set_launch(f"( {shown} ! {STREAM} )")
    factory.set_shared(True)
    if arguments.credentials:
        user, _, password = arguments.credentials.partition(":")
        guard, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        guard.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(guard)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/door", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
