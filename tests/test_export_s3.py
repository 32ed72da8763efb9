"""Exports to S3: a real server of it in a process of its own, which checks every signature; and what others would refuse."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.mosquitto import free_port, until
from test_export_day import DAY, Site
from test_export_places import Bucket, check

from edged.config.export import ExportConfig
from edged.connections import Dial, Peer
from edged.errors import ConfigError, Unavailable
from edged.export.targets import WebTarget

REGION = "eu-central-1"
UNCHECKED = 4
"""So many requests, those that make the user, the server takes from anybody."""


class S3:
    """moto's server with a bucket, and a user who may use it."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        surroundings = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(UNCHECKED), "MOTO_DISABLE_GLOBAL_CORS": "1"}
        command = [sys.executable, "-m", "moto.server", "-p", self.address.rpartition(":")[2]]
        self._log = (folder / "moto.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=surroundings)
        assert until(self._answers), (folder / "moto.log").read_text()
        s3, iam = self.client("s3", "any", "any"), self.client("iam", "any", "any")
        s3.create_bucket(Bucket="records", CreateBucketConfiguration={"LocationConstraint": REGION})
        iam.create_user(UserName="edged")
        allowed = {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="edged", PolicyName="write", PolicyDocument=policy)
        key = iam.create_access_key(UserName="edged")["AccessKey"]
        self.keys = key["AccessKeyId"], key["SecretAccessKey"]

    def client(self, service: str, access: str, secret: str):
        import botocore.session

        return botocore.session.get_session().create_client(
            service, REGION, endpoint_url=self.address, aws_access_key_id=access, aws_secret_access_key=secret
        )

    def objects(self) -> dict[str, bytes]:
        client = self.client("s3", *self.keys)
        names = [one["Key"] for one in client.list_objects_v2(Bucket="records").get("Contents", [])]
        return {name: client.get_object(Bucket="records", Key=name)["Body"].read() for name in names}

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.address}/moto-api/", timeout=5).close()  # noqa: S310  our own server
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(60)
        self._log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = S3(tmp_path_factory.mktemp("s3"))
    yield running
    running.stop()


def keys_file(folder: Path, address: str, access: str, secret: str) -> Path:
    path = folder / "keys"
    path.write_text(
        f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\nregion = {REGION}\n"
        f"endpoint_url = {address}\n"
    )
    return path


def to_s3(site: Site, to: str, keys: Path) -> Site:
    settings = site.settings.export.model_copy(update={"to": to, "token_file": keys})
    site.settings = site.settings.model_copy(update={"export": settings})
    return site


def test_a_day_arrives_whole_and_once_and_a_half_file_is_named(tmp_path, server) -> None:
    site = Site(tmp_path).busy().close()
    to_s3(site, "s3://records/edged", keys_file(tmp_path, server.address, *server.keys)).export()
    objects = server.objects()
    assert check(objects) == 1
    assert all(name.startswith(f"edged/record/v=1/dt={DAY}/entrance-1-000001-") for name in objects)
    site.export(DAY)  # all of it is there, and stays
    assert server.objects() == objects
    name = next(name for name in objects if ".encounter." in name)
    server.client("s3", *server.keys).put_object(Bucket="records", Key=name, Body=objects[name][:-1])
    with pytest.raises(Unavailable, match=r"holds \d+ bytes instead of \d+; delete it there"):
        site.export(DAY)


@pytest.mark.parametrize(
    ("to", "access", "secret", "words"),
    [
        ("s3://records/x", None, "wrong", "403 SignatureDoesNotMatch; it does not know these keys"),
        ("s3://records/x", "AKIAIOSFODNN7EXAMPLE", "wrong", "403 InvalidAccessKeyId; it does not know these keys"),
        ("s3://nothing-here/x", None, None, "404 NoSuchBucket; there is no such bucket"),
    ],
)
def test_what_the_server_refuses_is_one_line_without_the_secret(tmp_path, server, to, access, secret, words) -> None:
    keys = keys_file(tmp_path, server.address, access or server.keys[0], secret or server.keys[1])
    site = to_s3(Site(tmp_path).busy().close(), to, keys)
    with pytest.raises(Unavailable) as raised:
        site.export()
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert server.keys[1] not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "these keys may not write there"),
        (403, "RequestTimeTooSkewed", "this device's clock is wrong"),
        (403, "QuotaExceeded", "the bucket is full"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (301, "PermanentRedirect", "the bucket is in another region"),
        (503, "SlowDown", "read the server's log"),
        (507, "", "its disk is full"),
    ],
)
def test_each_refusal_has_its_remedy(tmp_path, status, code, words) -> None:
    """In Amazon's words, by a server that says them."""
    with Bucket() as bucket:
        bucket.faults = {0: (status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>")}
        address = f"http://127.0.0.1:{bucket.server_port}"
        (tmp_path / "file").write_bytes(b"x")
        config = ExportConfig(to="s3://records/edged", token_file=keys_file(tmp_path, address, "A", "B"))
        with pytest.raises(Unavailable, match=f"answers {status} ?{code}; {words}"):
            WebTarget(config).put("record/v=1/file", tmp_path / "file")
        WebTarget(config).put("record/v=1/file", tmp_path / "file")
        assert list(bucket.objects) == ["/records/edged/record/v%3D1/file"]


class OneServer(Dial):
    """Whatever the address, the connection is to this one."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    @contextmanager
    def connection(self, peer: Peer, sends: int = 0) -> Iterator[socket.socket]:
        with super().connection(replace(peer, host="127.0.0.1", port=self._port), sends) as connection:
            yield connection


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://[fd00::5]", "[fd00::5]"),
        ("http://[fd00::5]:9000", "[fd00::5]:9000"),
        ("http://LocalHost:80", "localhost"),
        ("http://LocalHost:9000", "localhost:9000"),
    ],
)
def test_the_address_is_sent_as_it_is_signed(tmp_path, endpoint, host) -> None:
    """And each part of the path is percent-encoded, as S3 encodes it when it checks the signature."""
    with Bucket() as bucket:
        (tmp_path / "file").write_bytes(b"x")
        config = ExportConfig(to="s3://records/site=1", token_file=keys_file(tmp_path, endpoint, "A", "B"))
        WebTarget(config, OneServer(bucket.server_port)).put("record/v=1/a b", tmp_path / "file")
        (headers,) = bucket.headers
        assert bucket.asked == ["/records/site%3D1/record/v%3D1/a%20b"]
        assert headers["Host"] == host
        scope, signed, signature = (part.partition("=")[2] for part in headers["Authorization"].split(", "))
        names = signed.split(";")
        assert "host" in names
        request = AWSRequest("PUT", f"http://{host}{bucket.asked[0]}", {name: headers[name] for name in names}, b"x")
        request.context["timestamp"] = headers["X-Amz-Date"]
        signer = S3SigV4Auth(Credentials("A", "B"), "s3", REGION)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        assert scope.startswith("A/")
        assert signer.signature(text, request) == signature


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("just-a-token", "it needs the section"),
        ("[default]\nregion = x\n", "it needs the section"),
        (
            "[default]\naws_access_key_id=a\naws_secret_access_key=b\nregion=c\nendpoint_url=http://8.8.8.8\n",
            "unencrypted",
        ),
    ],
)
def test_keys_that_cannot_be_used_name_their_setting(tmp_path, text, words) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=rf"export\.token_file.*{words}"):
        WebTarget(ExportConfig(to="s3://records/edged", token_file=tmp_path / "keys"))
    with pytest.raises(ConfigError, match="needs keys"):
        WebTarget(ExportConfig(to="s3://records/edged"))


@pytest.mark.parametrize(
    "to",
    ["s3://", "s3://A", "s3://records/a b", "s3://user:pass@records/x", "s3://records?x=1", "s3://a..b/x", "s3://ab/x",
     "s3://abc/x/../../other", "s3://abc/./x", "s3://abc/..", "s3://abc-.d/x", "s3://abc//x", "s3://abc٣/x"],
)  # fmt: skip
def test_a_bucket_that_cannot_be_is_refused(to) -> None:
    with pytest.raises(ValueError, match="must be a bucket and a prefix"):
        ExportConfig(to=to)


@pytest.mark.parametrize("to", ["s3://a.b-c/x..y/.hidden/", "s3://abc"])
def test_a_bucket_with_dots_is_taken(to) -> None:
    assert ExportConfig(to=to).to == to
