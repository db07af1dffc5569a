"""The command line: parse, call, print. All work is done elsewhere; imports are late so that --help is quick."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import stat
import sys
import traceback
from typing import Any

import click

from dnslab.cli.causes import causes
from dnslab.cli.cluster import clean, fix, manifests, node_cache
from dnslab.cli.diagnose import diagnose
from dnslab.cli.machine import doctor, lab, variants
from dnslab.cli.plan import plan_
from dnslab.cli.results import bundle, compare_, export, gate, import_, report_, summary
from dnslab.cli.run import run
from dnslab.cli.verify import verify_
from dnslab.errors import DEFECT, DnslabError, Interrupted, InvalidPlan, NotAble, UsageError, refusal
from dnslab.sentences import files, plan_errors as said
from dnslab.text import echo, echo_text, nearest, one_of

EPILOG = (
    "Exit status: 0 done, 1 a verdict is bad, 2 a mistake in what was asked, 3 this machine lacks something (see "
    "`dnslab doctor`), 4 the run is invalid, incomplete or undecided, 5 a defect of dnslab, 130 interrupted."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="dnslab")
def cli(debug: bool) -> None:
    """Find out which DNS resolver configuration stalls, how often and why. dnslab measures every lookup."""


for command in (
    *(run, diagnose, verify_, plan_, summary, compare_, gate, import_, export, report_, bundle),
    *(variants, causes, doctor, lab, manifests, fix, node_cache, clean),
):
    cli.add_command(command)


def main() -> None:
    """Entry point: every error is one line on stderr (or one for each problem of a plan), with its status."""
    debug = "--debug" in sys.argv
    _open_standard_files()
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks for that
        signal.signal(signal.SIGHUP, _terminated)
    # A thread for each target: by default each that waits for the interpreter asks for it every 5 ms, and a thousand do
    # nothing else (docs/many-targets.md).
    sys.setswitchinterval(0.05)
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    try:
        status = cli(prog_name="dnslab", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # as kubectl, docker and pip do
        echo_text(error.format_message())
        sys.exit(0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        lines, status = _lines_and_status(error)
        if debug:
            echo_text(traceback.format_exc(), err=True)
        with contextlib.suppress(OSError):  # the terminal may have gone
            for line in lines:
                echo(line, err=True)
        sys.exit(status)
    sys.exit(status if isinstance(status, int) else 0)


def _open_standard_files() -> None:
    """Open what is closed of stdin, stdout and stderr: a file of the run would take its number, and what others write
    there would go into it. A stream that knows ASCII only writes escapes for all else."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        if number and isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _lines_and_status(error: BaseException) -> tuple[list[str], int]:
    """An error as one line, or as a line for each problem of a plan, and the exit status it ends with."""
    if isinstance(error, InvalidPlan):
        return [f"error: {line}" for line in error.lines], error.status
    message, status = _line_and_status(error)
    return [message], status


def _line_and_status(error: BaseException) -> tuple[str, int]:
    match error:
        case Interrupted():
            message = (str(error), error.status)
        case DnslabError():
            message = (f"error: {error}", error.status)
        case click.Abort() | KeyboardInterrupt():
            message = ("interrupted", Interrupted.status)
        case click.BadParameter() if error.param and (problem := _bad_value(error.message)):
            message = (f"error: {_called(error.param)}: {problem}", UsageError.status)
        case click.UsageError():
            message = (f"error: {_of_click(error)} See `{_command(error)} --help`.", UsageError.status)
        case click.ClickException():
            message = (f"error: {error.format_message()}", UsageError.status)
        case ModuleNotFoundError() if error.name and not error.name.startswith("dnslab"):
            message = (f"error: {error.name} is missing: `pip install 'dnslab[notebooks]'`", NotAble.status)
        case _ if refused := refusal(error):
            message = (f"error: {refused}", NotAble.status)
        case _:
            details = " ".join([type(error).__name__, *str(error).split()])[:300]
            message = (
                f"error: a defect of dnslab, please report it with what `dnslab --debug` shows: {details}",
                DEFECT,
            )
    return message


def _of_click(error: click.UsageError) -> str:
    """What click says of a mistake, with the one name that is most like what was typed."""
    if isinstance(error, (click.NoSuchOption, click.exceptions.NoSuchCommand)) and error.possibilities:
        typed = error.option_name if isinstance(error, click.NoSuchOption) else error.command_name
        return f"{error.message.removesuffix('.')}{nearest(typed, error.possibilities, or_all=False)}"
    message = error.format_message()
    return message if message.endswith((".", "?")) else f"{message}."


def _command(error: click.UsageError) -> str:
    """The command that was typed wrongly, as far as it is known."""
    if error.ctx:
        return error.ctx.command_path
    return next((f"dnslab {word}" for word in sys.argv[1:] if word in cli.commands), "dnslab")


def _called(param: click.Parameter) -> str:
    """How the help calls an option or an argument."""
    return (param.name or "").upper() if isinstance(param, click.Argument) else param.opts[0]


def _bad_value(message: str) -> str:
    """What click says of a value, in our words; ``""`` for what has no words yet."""
    if number := re.match(r"(?P<value>'.*') is not a valid (?P<kind>float|integer)", message):
        sentence = said.NUMBER if number["kind"] == "float" else said.WHOLE_NUMBER
        return sentence(value=number["value"])
    if path := re.match(r"(?:File|Path) '(?P<path>.*)' (?P<why>does not exist|is a directory)", message):
        sentence = files.NO_SUCH_FILE if path["why"] == "does not exist" else files.IS_A_FOLDER
        return sentence(path=path["path"])
    if choice := re.match(r"'(.*)' is not one of (.*)\.", message):
        names = re.findall(r"'([^']*)'", choice[2])
        hint = nearest(choice[1], names, or_all=False)
        return said.ONE_OF(names=one_of(names), value=repr(choice[1]), hint=hint)
    return ""


class _Forgiving(io.FileIO):
    """What is written once the reader has gone goes nowhere: a closed pipe changes neither work nor status."""

    def write(self, data: Any) -> int:
        """As a file does."""
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def _forgiving(stream: Any) -> Any:
    """``stream``, or one like it that forgives a closed pipe where it is a pipe."""
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode) or stat.S_ISSOCK(os.fstat(stream.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        return stream
    if not is_pipe:
        return stream
    stream.flush()
    buffer = io.BufferedWriter(_Forgiving(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=stream.line_buffering, write_through=True
    )
