"""The command line. Each command imports what it needs when it runs, so that asking is quick.

Exit codes: 0 done (kept, reverted and "nothing to learn" alike), 1 an error, 2 wrong configuration or
usage, 3 another night is running, 4 the model, 5 state or ledger, 6 the vLLM server,
130 interrupted.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from dreamloop import __version__
from dreamloop.errors import DreamloopError
from dreamloop.interrupt import Interrupt

_HOME = click.option("--home", type=click.Path(path_type=Path), help="State folder. Default: $DREAMLOOP_HOME.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a screen.")
_CONFIG = click.option("--config", "config_path", type=click.Path(path_type=Path), help="dreamloop.toml to use.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dreamloop")
def cli() -> None:
    """A local language model gets a little better every night from its own logs, and never worse.

    Exit codes: 0 done (a reverted night is done too), 1 error, 2 configuration or usage, 3 another night
    is running, 4 model, 5 state or ledger, 6 vLLM server, 130 interrupted.
    """


@cli.command()
@_HOME
@_JSON
@_CONFIG
@click.option("--source", "sources", multiple=True, type=click.Path(path_type=Path),
              help="Log file or folder, instead of the configured ones. Repeatable.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0, max=2**63 - 1), help="Instead of the configured seed.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.option("-q", "--quiet", is_flag=True, help="No screen at the end, only the log; as the daemon does it.")
def cycle(
    home: Path | None, as_json: bool, config_path: Path | None, sources: tuple[Path, ...], seed: int | None,
    verbose: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run one night: collect, dream, train, gate, keep or revert."""
    from datetime import UTC, datetime  # noqa: PLC0415 - see the module's first line

    from dreamloop.config_file import load_config  # noqa: PLC0415

    place = _home(home)
    config = load_config(_config_path(config_path, place.root))
    changes: dict[str, Any] = {"sources": sources} if sources else {}
    if seed is not None:
        changes["seed"] = seed
    from dreamloop.log import setup  # noqa: PLC0415

    progress = setup(verbose)  # before the libraries, which have things to say while they are imported
    from dreamloop.cycle import run_night  # noqa: PLC0415 - seconds of import, after the cheap mistakes

    Interrupt().install()
    night = run_night(place, config.model_copy(update=changes), progress, lambda: datetime.now(UTC))
    if not quiet:
        _print_night(place, night, as_json)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path), default="dreamloop.toml")
@click.option("--model", help="Folder or Hugging Face id of the model; without it, the small one that comes along.")
@click.option("--source", "sources", multiple=True, help="Log file or folder to learn from. Repeatable.")
@click.option("--url", help="A vLLM server that runs already, for example http://127.0.0.1:8000.")
def init(path: Path, model: str | None, sources: tuple[str, ...], url: str | None) -> None:
    """Write a configuration file with every knob explained.

    PATH is dreamloop.toml in the working folder unless given.
    """
    from dreamloop.config_file import write_config  # noqa: PLC0415
    from dreamloop.paths import default_home  # noqa: PLC0415

    # A source is meant as seen from here; in the file it would be seen from the file's folder.
    given = {"model": model, "sources": tuple(str(Path(source).absolute()) for source in sources), "vllm.url": url}
    write_config(path, {key: value for key, value in given.items() if value}, private=default_home())
    click.echo(f"{path} has every knob, with its default. Then: {_program()} doctor --config {path}")


@cli.command()
@_HOME
@_JSON
@_CONFIG
def doctor(home: Path | None, as_json: bool, config_path: Path | None) -> None:
    """Look at everything a night needs; each fault comes with its mend. Leaves with 1 where there is one."""
    from datetime import datetime  # noqa: PLC0415

    from dreamloop.doctor import examine  # noqa: PLC0415

    place = _home(home)
    findings = []
    for found in examine(place, _config_path(config_path, place.root), datetime.now().astimezone()):
        findings.append(found)
        if not as_json:
            mark = {"good": "✓", "note": "!", "fault": "✗"}[found.level]
            click.echo(f"{mark} {found.check:<12} {found.said}" + (f"\n{'':15}→ {found.mend}" if found.mend else ""))
    if as_json:
        _dump([asdict(found) for found in findings])
    if any(found.level == "fault" for found in findings):
        sys.exit(1)


@cli.command()
@_HOME
@_CONFIG
def daemon(home: Path | None, config_path: Path | None) -> None:
    """Run a night at the configured time, every day, until told to stop."""
    from datetime import datetime  # noqa: PLC0415

    from dreamloop.daemon import Daemon  # noqa: PLC0415
    from dreamloop.log import setup  # noqa: PLC0415

    place = _home(home)
    setup()
    Daemon(place, _config_path(config_path, place.root), lambda: datetime.now().astimezone()).run()


@cli.command()
@_HOME
@_JSON
def status(home: Path | None, as_json: bool) -> None:
    """What serves now, how the last night went, what waits to be learned."""
    from dreamloop.report.status import read_status, status_lines  # noqa: PLC0415

    found = read_status(_home(home))
    if as_json:
        _dump(asdict(found))
    else:
        click.echo("\n".join(status_lines(found)))


@cli.command()
@_HOME
@_JSON
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=1, max=2**63 - 1), help="How many nights."
)
def history(home: Path | None, as_json: bool, limit: int) -> None:
    """The latest nights, newest first."""
    from dreamloop.ledger.history import History  # noqa: PLC0415

    place = _home(home)
    nights = History(place.ledger, place.lock).nights(limit)
    if as_json:
        _dump(nights)
        return
    from dreamloop.report.printing import show  # noqa: PLC0415
    from dreamloop.report.tables import history_table  # noqa: PLC0415

    show(history_table(nights))


@cli.command("show")
@click.argument("night", type=click.IntRange(min=1, max=2**63 - 1))
@click.option("--all", "every_measure", is_flag=True, help="All measures, not only the usual and the failing ones.")
@_HOME
@_JSON
def show_night(night: int, every_measure: bool, home: Path | None, as_json: bool) -> None:
    """Everything about one night."""
    _print_night(_home(home), night, as_json, every_measure)


@cli.command("plan")
@_HOME
@_JSON
@_CONFIG
@click.option("--go-on", is_flag=True, help="You have looked at the nights that were not kept: train again.")
def show_plan(home: Path | None, as_json: bool, config_path: Path | None, go_on: bool) -> None:
    """What tonight would do, and why: each knob that the nights so far have moved, in a sentence."""
    from dreamloop.adapt import plan  # noqa: PLC0415
    from dreamloop.config_file import load_config  # noqa: PLC0415
    from dreamloop.keep.generations import pointed  # noqa: PLC0415
    from dreamloop.ledger.history import History  # noqa: PLC0415
    from dreamloop.records import Standing  # noqa: PLC0415

    place = _home(home)
    config = load_config(_config_path(config_path, place.root))
    known = History(place.ledger, place.lock) if go_on or place.ledger.is_file() else None
    if go_on:
        _note_go_ahead(place)
    serving = pointed(place) is not None
    standing = Standing()
    if known:
        waiting = known.waiting(config.night.rewrites)
        standing = Standing(tuple(known.potentials(config.model)), waiting, serving)
    tonight = plan(known.past() if known else [], config, standing)
    if as_json:
        _dump(asdict(tonight))
        return
    from dreamloop.report.printing import show  # noqa: PLC0415
    from dreamloop.report.tables import plan_screen  # noqa: PLC0415

    show(plan_screen(tonight))


@cli.command()
@_HOME
@_JSON
@_CONFIG
@click.option("--quick", is_flag=True, help="Ask a small part of the items: a look in a minute or two.")
def gate(home: Path | None, as_json: bool, config_path: Path | None, quick: bool) -> None:
    """Measure what serves now against the base model. Changes nothing."""
    from dreamloop.config_file import load_config  # noqa: PLC0415
    from dreamloop.log import setup  # noqa: PLC0415

    place = _home(home)
    config = load_config(_config_path(config_path, place.root))
    progress = setup()  # before the libraries, as above
    from dreamloop.look import look  # noqa: PLC0415 - seconds of import

    seen = look(place, config, quick, progress)
    if as_json:
        _dump(asdict(seen))
        return
    from dreamloop.report.measures import look_screen  # noqa: PLC0415
    from dreamloop.report.printing import show  # noqa: PLC0415

    show(look_screen(seen.generation, seen.measures, seen.verdict, config.gate.confidence))


@cli.command()
@_HOME
@_JSON
@_CONFIG
@click.option(
    "--to", type=click.IntRange(min=0, max=2**63 - 1), help="Generation number; 0 is the base model. Default: one back."
)
def revert(home: Path | None, as_json: bool, config_path: Path | None, to: int | None) -> None:
    """Let an earlier generation serve again, also in the configured vLLM server. Nothing is deleted."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from dreamloop.config_file import load_config  # noqa: PLC0415
    from dreamloop.undo import revert as revert_to  # noqa: PLC0415

    place = _home(home)
    was, now = revert_to(place, to, lambda: datetime.now(UTC))
    names = [f"generation {number}" if number else "the base model" for number in (was, now)]
    done, served = f"{names[0]} served before; now {names[1]} does.", None
    try:  # the pointer has moved whatever the configuration and the server are like
        config = load_config(_config_path(config_path, place.root))
        if config.vllm.url and config.vllm.publish:
            served = _published(place, config)
    except DreamloopError as error:
        error.args = (f"{done} But the vLLM server was not told: {error} Then run 'dreamloop publish'.",)
        raise
    if as_json:
        _dump({"was": was, "generation": now, "served": served})
    else:
        click.echo("\n".join(filter(None, (done, served))))


@cli.command()
@_HOME
@_JSON
@_CONFIG
def publish(home: Path | None, as_json: bool, config_path: Path | None) -> None:
    """Let the running vLLM server serve the current generation, proven first.

    For after the server was started again: it forgets its adapters.
    """
    from dreamloop.config_file import load_config  # noqa: PLC0415

    place = _home(home)
    said = _published(place, load_config(_config_path(config_path, place.root)))
    if as_json:
        _dump({"served": said})
    else:
        click.echo(said)


def main() -> NoReturn:
    """Run the command line; expected failures are one sentence on stderr and an exit code."""
    try:
        cli(standalone_mode=False)
    except DreamloopError as error:
        click.echo(f"dreamloop: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("dreamloop: interrupted; 'dreamloop status' says what serves.", err=True)
        sys.exit(130)
    except Exception as error:
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        # The error's own text may quote conversations and stays out of logs.
        click.echo(
            f"dreamloop: a bug ({type(error).__name__}); 'dreamloop cycle -v' shows where. Nothing was lost.", err=True
        )
        sys.exit(1)
    sys.exit(0)


def _home(given: Path | None) -> Any:
    from dreamloop.paths import Home, default_home  # noqa: PLC0415

    return Home((given or default_home()).expanduser().absolute())


def _config_path(given: Path | None, home: Path) -> Path | None:
    if given:
        return given
    here = (Path("dreamloop.toml").absolute(), home / "dreamloop.toml")
    return next((path for path in here if path.is_file()), None)


def _note_go_ahead(place: Any) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from dreamloop.ledger.store import Ledger  # noqa: PLC0415 - sqlite-utils, which reading does without

    ledger = Ledger(place.ledger)
    try:
        ledger.record_go_ahead(datetime.now(UTC).isoformat())
    finally:
        ledger.close()


def _published(place: Any, config: Any) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    from dreamloop.log import setup  # noqa: PLC0415

    progress = setup()  # before the libraries, as above
    from dreamloop.swap import publish as publish_current  # noqa: PLC0415 - seconds of import

    return publish_current(place, config, progress, lambda: datetime.now(UTC))


def _print_night(place: Any, night: int, as_json: bool, every_measure: bool = False) -> None:
    from dreamloop.ledger.history import History  # noqa: PLC0415

    record = History(place.ledger, place.lock).night(night)
    if as_json:
        _dump(asdict(record))
        return
    from dreamloop.keep.generations import pointed  # noqa: PLC0415
    from dreamloop.paths import default_home  # noqa: PLC0415
    from dreamloop.report.printing import show  # noqa: PLC0415
    from dreamloop.report.summary import night_screen  # noqa: PLC0415

    home = "" if place.root == default_home().absolute() else f" --home {place.root}"
    show(night_screen(record, pointed(place), _program(), home, every_measure))


def _program() -> str:
    """How this program was called, so that printed commands work as they stand."""
    if shutil.which("dreamloop"):
        return "dreamloop"
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{sys.executable} -m dreamloop"
    near = os.path.relpath(called)
    return str(called) if near.startswith("..") else near


def _dump(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
