"""The configuration as a file: read with one clear sentence for what is wrong, written with every knob explained."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dreamloop.config import Config, Section
from dreamloop.errors import ConfigError

_WIDTH = 118
_HEAD = """\
What dreamloop runs with. Every knob is here: a line that starts with '#' shows its default and can be uncommented
to change it; where a knob is unset by default, the line is an example. Relative paths start at this file's folder.
A night reads the file when it begins. 'dreamloop doctor' says whether everything fits."""


def load_config(path: Path | None) -> Config:
    """Read a TOML file; None gives the defaults. Relative paths are relative to the file.

    Raises:
        ConfigError: unreadable, not TOML, or a key that does not exist or does not fit.
    """
    if path is None:
        return Config()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} cannot be read ({error}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration {path} is not TOML: {error}.") from error
    return _beside(path.parent, _checked(path, raw))


def write_config(path: Path, given: Mapping[str, Any], private: Path) -> None:
    """Write a new file with every knob commented out but the ``given`` ones, named like ``vllm.url``.

    Args:
        path: where. given: what is not left at its default.
        private: the one folder that, if it must be made, is made for its owner alone: the state home.

    Raises:
        ConfigError: a given value does not fit, there is such a file already, or it cannot be written.
    """
    text = commented(given)
    _checked(path, tomllib.loads(text))
    try:
        path.parent.mkdir(mode=0o700 if path.parent.absolute() == private.absolute() else 0o777,
                          parents=True, exist_ok=True)  # fmt: skip
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"There is a {path} already and it is left as it is; move it away, or name another file."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be written ({error.strerror}); name another file."
        ) from error


def commented(given: Mapping[str, Any]) -> str:
    """The text of a configuration file: each knob with its sentence, commented out unless ``given``."""
    paragraphs = [textwrap.indent(_HEAD, "# "), *_knobs("", Config, given)]
    for name, section in _tables():
        paragraphs += [f"\n[{name}]\n{_comment(section.__doc__ or '')}", *_knobs(f"{name}.", section, given)]
    return "\n\n".join(paragraphs) + "\n"


def _checked(path: Path, raw: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        more = f" ({len(error.errors()) - 1} more after it.)" if len(error.errors()) > 1 else ""
        raise ConfigError(f"In {path}, {_fault(error.errors()[0])}{more}") from error


def _tables(of: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in of.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield prefix + name, field.annotation
            yield from _tables(field.annotation, f"{prefix}{name}.")


def _knobs(table: str, section: type[Section], given: Mapping[str, Any]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if field.description is None:  # a table
            continue
        shown = field.default if field.default not in (None, (), {}) else (field.examples or [""])[0]
        value = given.get(table + name, shown)
        line = _line(name, value)
        yield f"{_comment(field.description)}\n{line if table + name in given else textwrap.indent(line, '# ')}"


def _line(name: str, value: Any) -> str:
    if isinstance(value, Mapping):  # on one line; the library would open a table of its own
        return f"{name} = {{ {', '.join(tomli_w.dumps({key: item}).rstrip() for key, item in value.items())} }}"
    return tomli_w.dumps({name: list(value) if isinstance(value, tuple) else value}).rstrip()


def _comment(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _fault(error: ErrorDetails) -> str:
    """What is wrong with one key, and the way out."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        meant = _meant(key)
        mend = f"Did you mean '{meant}'?" if meant else "'dreamloop init' writes a file with all there are."
        return f"there is no '{key}'. {mend}"
    why = error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], Mapping):  # knobs that do not fit together
        return f"{f'[{key}]: ' if key else ''}{why}."
    return f"'{key}' cannot be {error['input']!r}: {why[:1].lower() + why[1:]}. Correct or remove the line."


def _meant(key: str) -> str | None:
    """The existing key that a wrong one comes closest to: the same name elsewhere, or a like one, near before far."""
    known = [*Config.model_fields, *(f"{name}.{knob}" for name, table in _tables() for knob in table.model_fields)]
    table, _, knob = key.rpartition(".")
    elsewhere = {name.rpartition(".")[2]: name for name in reversed(known)}  # the first of a name counts
    beside = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == table}
    for names, likeness in ((elsewhere, 1.0), (beside, 0.6), (elsewhere, 0.7)):
        if near := get_close_matches(knob, names, n=1, cutoff=likeness):
            return names[near[0]]
    return None


def _beside(folder: Path, config: Config) -> Config:
    """The configuration with its relative paths taken from ``folder``."""

    def at(path: Path | None) -> Path | None:
        try:
            return None if path is None else folder / path.expanduser()
        except RuntimeError as error:
            raise ConfigError(
                f"The path {path} in the configuration names an unknown user; write it in full."
            ) from error

    return config.model_copy(
        update={
            "sources": tuple(path for source in config.sources if (path := at(source))),
            "model": str(at(Path(config.model))) if config.model.startswith((".", "~")) else config.model,
            "replay": config.replay.model_copy(
                update={
                    "chat_files": tuple(at(path) for path in config.replay.chat_files),
                    "text_files": tuple(at(path) for path in config.replay.text_files),
                }
            ),
            "dream": config.dream.model_copy(update={"books": at(config.dream.books)}),
            "gate": config.gate.model_copy(update={"items": at(config.gate.items)}),
            "vllm": config.vllm.model_copy(
                update={"api_key_file": at(config.vllm.api_key_file), "python": at(config.vllm.python)}
            ),
        }
    )
