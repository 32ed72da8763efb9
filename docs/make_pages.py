"""Writes the pages that are made from code: `configure.md` from the config's models, `command-line.md` from the help.

`python docs/make_pages.py` writes both; a test fails when what is committed differs.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from edged.cli import cli
from edged.config import Config
from edged.config.load import OUTPUT_KINDS
from edged.config.section import Section

SHOWN_AS = {"lamp": "gpio", "voice": "sound"}
"""The kind of the commented file's outputs that are not called so."""
AS_ABOVE = "These keys are as above."
HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "config" / "edged.toml"
INTRODUCTION = """# Configure

One file, `/etc/edged/edged.toml`, in [TOML](https://toml.io). A key that you leave out has its default. An unknown
key is an error, and the message names the nearest one that exists. `edged config check` says what is wrong, one line
for each mistake; after a change run

    sudo systemctl reload edged

A wrong file is refused, with the reason, and the last good settings stay in force. The commented file with every key
is `config/edged.toml` (installed in `/opt/edged/share/edged/config`); `edged config show` prints what is in force.

What the console changes, it writes into `/var/lib/edged/config/console.toml` (the folder `config` beside the
database), and never into your file. Its keys win over yours, one by one; without it yours alone are in force. A tool of
your own may put files named `NN-name.toml`, two digits first, there as well. `edged config show --origins` says which
file each key comes from. A file that would make the whole invalid is left out with one line, and the rest goes on; one
with which edged twice did not start is renamed to `….refused`, and the console's last good one comes back.

The least that works:

```toml
[camera.door]
source = "v4l2:///dev/v4l/by-id/usb-046d_C920-video-index0"

[mqtt]
host = "broker.local"
```

Everything below is generated from the program, so it cannot differ from it.
"""


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every table of the config file with its model, in the file's order."""
    for name, field in Config.model_fields.items():
        model = field.annotation
        if name == "camera":
            model = _model_in(model)
        if isinstance(model, type) and issubclass(model, Section):
            yield ("camera.<id>" if name == "camera" else name), model
        if name == "output":
            yield from ((f"output.<id> {kind}", model) for kind, model in OUTPUT_KINDS.items())


def _model_in(annotation: Any) -> Any:
    """The model among the arguments of `dict[str, Model]`."""
    return next(item for item in annotation.__args__ if isinstance(item, type) and issubclass(item, Section))


def configure() -> str:
    """The page about the config file."""
    comments = _comments(EXAMPLES.read_text("utf-8"))
    parts = [INTRODUCTION]
    for name, model in sections():
        table, _, kind = name.partition(" ")
        heading = f' with `kind = "{kind}"`' if kind else ""
        parts.append(f"## `[{table}]`{heading}\n\n{(model.__doc__ or '').strip()}\n")
        parts.append("| key | default | allowed | what it does |\n|---|---|---|---|")
        schema = model.model_json_schema()
        for key, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                continue  # a camera's own [camera.<id>.mask] and so on: the same keys as below
            text = _text(comments, name, key) or field.description or ""
            allowed = _allowed(schema["properties"][key], schema.get("$defs", {}))
            parts.append(f"| `{key}` | {_default(field)} | {allowed} | {_cell(text)} |")
        parts.append("")
        if name == "camera.<id>":
            parts.append(
                "`[defaults]` gives the keys that a camera leaves out. `[camera.<id>.mask]`, `.attention` and `.drowsiness`\n"
                "take any key of the tables of these names, for one camera only.\n"
            )
    return "\n".join(parts)


def _text(comments: Mapping[tuple[str, str], str], name: str, key: str) -> str | None:
    """What the commented file says of a key. Kinds of outputs share what the first one says of it."""
    if not name.startswith("output"):
        return comments.get((name.split(".")[0], key))
    kind = name.rpartition(" ")[2]
    return comments.get((f"output.{kind}", key)) or comments.get(("output.gpio", key))


def _comments(text: str) -> dict[tuple[str, str], str]:
    """The comment above each key of the commented file, by table and key."""
    found: dict[tuple[str, str], str] = {}
    table, lines, last = "", [], ""
    for line in text.splitlines():
        if match := re.match(r"#?\[output\.([a-z]+)", line):
            table, lines = f"output.{SHOWN_AS.get(match[1], match[1])}", []
        elif match := re.match(r"#?\[([a-z]+)", line):
            table, lines = match[1].replace("defaults", "camera"), []
        elif match := re.match(r"#?([a-z_]+) = ", line):
            # Keys that stand together share the comment above the first.
            last = _joined(lines) or last
            if AS_ABOVE not in last:
                found.setdefault((table, match[1]), last)
            lines = []
        elif line.startswith("# ") and not line.startswith("# The next keys"):  # which is said below the table
            lines.append(line[1:])
        elif not line.strip():
            lines = []
    return found


ITEM = re.compile(r"^   (\S+(?: ! \S+|device\S+| device=\S+)*)\s{2,}")
"""A line of a list in two columns: what it is about, and what is said of it."""


def _joined(lines: list[str]) -> str:
    """The lines of a comment as one text; lists, which are indented, stand on lines of their own."""
    text, in_list = "", False
    for line in lines:
        is_item, indented = ITEM.match(line), line.startswith("  ")
        text += " <br>" if is_item or (in_list and not indented) else " "
        text += ITEM.sub(r"`\1` ", line).strip()
        in_list = indented
    return text.strip()


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else f"`{list(field.default_factory())}`"
    if field.default is None:
        return "–"
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, frozenset):
        value = sorted(value)
    return f"`{list(value)}`" if isinstance(value, tuple | list) else f"`{value}`" if value != "" else '`""`'


def _allowed(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _allowed(defs[schema["$ref"].rsplit("/", 1)[-1]], defs)
    for key in ("anyOf", "allOf"):
        if key in schema:
            return ", ".join(
                text for part in schema[key] if part.get("type") != "null" and (text := _allowed(part, defs))
            )
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{'above ' if 'exclusiveMinimum' in schema else ''}{low:g} to {high:g}"
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_allowed(items, defs) or 'text'}"
    return {"boolean": "`true`, `false`", "string": "text", "integer": "number", "number": "number"}.get(
        schema.get("type", ""), ""
    )


def _cell(text: str) -> str:
    """As the inside of a table's cell."""
    return re.sub("<(?!br>)", "&lt;", text.strip().replace("|", "\\|"))


def command_line() -> str:
    """The page about the commands."""
    parts = [
        "# Command line\n",
        "Exit codes: 0 done · 1 it failed · 2 wrong usage · 69 something that is needed is unavailable · 78 the config is wrong.",
        "Messages for people go to standard error, results to standard output.\n",
        "On a device only root and the group `edged` may read the config and the record: use `sudo`, or join the group with",
        "`sudo usermod -aG edged $USER` and log in again. What writes into edged's folders (`engines build`, `export`) is run as",
        "its user, with `sudo -u edged`.\n",
        "With `--json` a command that answers one question prints one object; one that lists things prints JSON Lines,",
        "an object a line, and no line where there is nothing. No command prints an array.\n",
    ]
    for path, command in _commands(cli, "edged"):
        context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])
        parts.append(f"## `{path}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


PAGES = {"configure.md": configure, "command-line.md": command_line}


def main() -> None:
    """Write the pages beside this file, or into the folder that is named."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else HERE
    for name, make in PAGES.items():
        (folder / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
