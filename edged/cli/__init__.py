"""The command line: one module per verb, imported only when that verb is used; errors become one line and an exit code."""

import importlib
import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click

from edged.cli.streams import printing, visible
from edged.errors import EdgedError

VERBS = {
    "analyze": "edged.cli.analyze:analyze",
    "bench": "edged.cli.bench:bench",
    "cameras": "edged.cli.cameras:cameras",
    "claim": "edged.cli.console:claim",
    "completion": "edged.cli.completion:completion",
    "config": "edged.cli.config:config",
    "console": "edged.cli.console:console",
    "db": "edged.cli.db:db",
    "demo": "edged.cli.demo:demo",
    "doctor": "edged.cli.doctor:doctor",
    "engines": "edged.cli.engines:engines",
    "events": "edged.cli.events:events",
    "export": "edged.cli.export:export",
    "fleet": "edged.cli.fleet:fleet",
    "outputs": "edged.cli.outputs:outputs",
    "passwd": "edged.cli.console:passwd",
    "report": "edged.cli.report:report",
    "run": "edged.cli.run:run",
    "schema": "edged.cli.schema:schema",
    "selftest": "edged.cli.selftest:selftest",
    "status": "edged.cli.status:status",
    "wear-mask": "edged.cli.wear_mask:wear_mask_command",
}

WHOLE = 1000
"""Characters: more than any first sentence has."""


class LazyGroup(click.Group):
    """A group whose commands are imported when asked for, so that `edged status` does not wait for model runtimes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with the whole first sentence of its help."""
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.get_short_help_str(limit=WHOLE)) for name, verb in verbs if verb])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`; a mistyped verb is answered with the nearest one."""
        if args and args[0] not in VERBS and (near := get_close_matches(args[0], VERBS, n=1)):
            ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edged", prog_name="edged")
def cli() -> None:
    """A camera appliance that sees masks, alerts over MQTT, and reports each day."""


def main(arguments: list[str] | None = None) -> Any:
    """Run one verb. An EdgedError becomes its line on stderr and its exit code."""
    try:
        with printing():
            cli.main(args=arguments, prog_name="edged", standalone_mode=True)
    except EdgedError as error:
        with suppress(OSError):  # standard error may be closed, or on a full disk
            for line in str(error).splitlines():
                click.echo(f"edged: {visible(line)}", err=True)
        sys.exit(error.exit_code)
