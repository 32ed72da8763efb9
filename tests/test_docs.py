"""The documentation says what is so: generated pages are current, examples load, commands exist, queries and programs run."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from support.mosquitto import Mosquitto, needs_mosquitto, publish, until
from support.payloads import check_document, check_lines, check_message

from edged.cli import cli
from edged.config import load_config
from edged.config.source import RESERVED
from edged.messages import TOPICS
from edged.payloads.mqtt import Command
from edged.store import Store

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+\.md)(#[\w-]+)?\)")


def blocks(language: str) -> list[tuple[str, str, str]]:
    """Page, title and text of each fenced block in a language."""
    return [
        (page.name, title.strip(), re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
        for page in PAGES
        for indent, name, title, text in FENCE.findall(page.read_text("utf-8"))
        if name == language
    ]


def test_generated_pages_are_current(tmp_path):
    # In a process of its own: a command that was used before keeps the help option of that time.
    subprocess.run([sys.executable, str(DOCS / "make_pages.py"), str(tmp_path)], check=True, timeout=120)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["command-line.md", "configure.md"]
    for name in made:
        expected = (tmp_path / name).read_text("utf-8")
        assert (DOCS / name).read_text("utf-8") == expected, (
            f"docs/{name} is not current: run `python docs/make_pages.py`"
        )


def test_no_page_holds_both_sides_of_a_merge():
    texts = [*PAGES, *DOCS.parent.glob("*.md"), *DOCS.parent.glob("config/**/*.toml")]
    assert [path.name for path in texts if re.search(r"^(<{7}|>{7}) ", path.read_text(), re.MULTILINE)] == []


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere():
    navigation = (DOCS.parent / "mkdocs.yml").read_text("utf-8")
    for page in PAGES:
        assert f": {page.name}" in navigation, page.name
        for target, anchor in LINK.findall(page.read_text("utf-8")):
            assert (DOCS / target).is_file(), f"{page.name}: {target}"
            assert not anchor, "links go to pages: their headings may change"


@pytest.mark.parametrize(("page", "title", "text"), blocks("toml"))
def test_configs_load(page, title, text, tmp_path):
    file = tmp_path / "edged.toml"
    file.write_text(text)
    if "on a stick" in title:
        assert (DOCS.parent / "config" / "stick" / "edged.toml").read_text("utf-8").endswith(text), page
    else:
        assert load_config(file).camera, page


@pytest.mark.parametrize(("page", "title", "text"), blocks("json"))
def test_payloads_meet_their_schemas(page, title, text):
    if re.search(r"/cmd/\w+\"$", title):
        check_document(Command, json.loads(text), title)
    elif title.startswith('title="edged/'):
        check_message(title.removeprefix('title="').rstrip('"'), text)
    else:
        check_lines("analyze", text)


def test_every_topic_has_an_example():
    shown = [title.split("/", 2)[2].rstrip('"') for _, title, _ in blocks("json") if title.startswith('title="edged/')]
    whole = {"availability", "report/daily"}  # plain text, and a document of pages
    patterns = {topic.name: re.sub(r"{\w+}", r"\\w+", topic.name) for topic in TOPICS if topic.name not in whole}
    assert [
        name for name, pattern in patterns.items() if not any(re.fullmatch(pattern, topic) for topic in shown)
    ] == []
    page = (DOCS / "mqtt.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in whole)


def test_the_violation_of_a_mask_is_shown_with_its_votes():
    shown = [json.loads(text) for _, title, text in blocks("json") if title.endswith('/violation"')]
    masks = [payload["votes"] for payload in shown if payload["kind"] == "mask"]
    assert masks
    assert all(isinstance(count, int) for votes in masks for count in votes.values())


COMMANDS = [
    (page, line.removeprefix("$ ").removeprefix("sudo "))
    for page, _, text in blocks("console")
    for line in text.splitlines()
    if line.startswith("$ ")
] + [(page.name, found) for page in PAGES for found in re.findall(r"`(edged [a-z][^`…]*)`", page.read_text("utf-8"))]


@pytest.mark.parametrize(("page", "line"), [pair for pair in COMMANDS if pair[1].startswith("edged ")])
def test_commands_and_their_options_exist(page, line):
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"{page}: no command {name!r} in {line!r}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, f"{page}: {line}"


@pytest.mark.parametrize(("page", "line"), [pair for pair in COMMANDS if pair[1].startswith("make ")])
def test_targets_exist(page, line):
    makefile = (DOCS.parent / "Makefile").read_text("utf-8")
    assert re.search(f"^{shlex.split(line)[1]}:", makefile, re.MULTILINE), f"{page}: {line}"


@pytest.mark.parametrize(("page", "title", "text"), blocks("sql"))
def test_queries_run(page, title, text, tmp_path):
    Store(tmp_path / "edged.db").close()
    with sqlite3.connect(tmp_path / "edged.db") as database:
        for statement in filter(str.strip, text.split(";")):
            database.execute(statement).fetchall()


@needs_mosquitto
def test_the_subscriber_in_python_prints_an_alert(tmp_path):
    [program] = [text for _, title, text in blocks("python") if "subscribe.py" in title]
    alerts = [text for _, title, text in blocks("json") if title.endswith('/violation"')]
    alert = next(text for text in alerts if "drowsiness" in text)
    (tmp_path / "subscribe.py").write_text(program)
    assert len([line for line in program.splitlines() if line.strip()]) <= 15
    with Mosquitto(tmp_path / "broker") as broker:
        command = [sys.executable, "subscribe.py", "127.0.0.1", str(broker.port)]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as subscriber:
            try:
                lines: list[str] = []
                threading.Thread(target=lambda: lines.append(subscriber.stdout.readline()), daemon=True).start()
                assert until(lambda: publish(broker.port, "edged/hall/camera/cab/violation", alert) or lines, 60)
                assert lines[0].split() == ["2026-11-29T08:41:09.777Z", "cab", "drowsiness_microsleep", "0.5"]
            finally:
                subscriber.kill()


def test_the_characters_of_a_camera_s_password_are_written_as_the_page_on_sticks_says():
    characters = [one for one in RESERVED if one != "@"]
    written = " ".join(quote(one, safe="") for one in characters)
    assert f"`{' '.join(characters)}` are written `{written}`" in (DOCS / "install.md").read_text("utf-8")
