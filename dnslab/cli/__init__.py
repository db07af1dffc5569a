"""The command line: parse, call, print. All work is done elsewhere; imports are late so that --help is quick."""

from __future__ import annotations

import os
import signal
import sys
import traceback

import click

from dnslab.cli.cluster import clean, fix, manifests, node_cache
from dnslab.cli.machine import doctor, lab, variants
from dnslab.cli.results import bundle, compare_, export, gate, import_, report_, summary
from dnslab.cli.run import plan_, run
from dnslab.errors import DnslabError, Interrupted

EPILOG = "Exit status: 0 done, 1 a verdict is bad, 2 usage, 3 this machine is not able, 4 run invalid, incomplete or undecided, 130 interrupted."  # noqa: E501


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="dnslab")
def cli(debug: bool) -> None:
    """Settle which DNS resolver configuration stalls, how often and why: by measuring each lookup."""


for command in (
    *(run, plan_, summary, compare_, gate, import_, export, report_, bundle),
    *(variants, doctor, lab, manifests, fix, node_cache, clean),
):
    cli.add_command(command)


def main() -> None:
    """Entry point: every error of ours is one line on stderr and its stated status."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, _terminated)
    # A thread for each target: by default each that waits for the interpreter asks for it every 5 ms, and a thousand do
    # nothing else (docs/many-targets.md).
    sys.setswitchinterval(0.05)
    try:
        status = cli(standalone_mode=False)
    except Interrupted as error:
        _fail(str(error), error.status, debug)
    except DnslabError as error:
        _fail(f"error: {error}", error.status, debug)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130, debug)
    except click.ClickException as error:
        _fail(f"error: {error.format_message()}", 2, debug)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("dnslab"):
            raise
        _fail(f"error: {error.name} is missing: `pip install 'dnslab[notebooks]'`", 3, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(status)
