"""`edged completion`: tab completion for the shell."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that teaches SHELL to complete edged's verbs and options: eval "$(edged completion bash)"."""
    script = get_completion_class(shell)
    root = context.find_root().command
    if script is not None:
        click.echo(script(root, {}, "edged", "_EDGED_COMPLETE").source())
