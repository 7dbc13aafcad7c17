"""What `dvc repro` and `dvc exp run` print, in fewer words: a stage by its name, and at its end the time that it took.

DVC's own words go: that a lock file was updated, which `git add` to type (README.md has another), to `dvc push` (it is
`make push`). Its warnings and errors stay.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from detector.base import errors

# Loggers of DVC whose news is said here, or is none: of their records, warnings and errors are left.
TALKERS = ("dvc.stage", "dvc.stage.run", "dvc.stage.cache", "dvc.dvcfile", "dvc.repo.scm_context", "dvc.repo.reproduce")
TALK = ("Use `dvc push`", "Reproducing experiment", "Experiment results have been applied")
RAN = "\nRan experiment(s): "
UNCHANGED, RESTORED = "unchanged", "as before, restored from DVC's cache"


@dataclass
class Told:
    """spent: the seconds of each stage that ran to its end, by name. experiment: its name, if this is one."""

    spent: dict[str, float] = field(default_factory=dict)
    experiment: str = ""


def tell() -> Told:
    """From now on, DVC in this process tells its stages as above."""
    import dvc.stage.run as runner  # late: half a second
    from dvc.stage import Stage
    from dvc.ui import ui

    told, reproduce, run, write = Told(), Stage.reproduce, runner.cmd_run, ui.write
    began: dict[str, float] = {}

    def say_begin(stage: Any, *arguments: Any, **options: Any) -> None:
        errors.say(f"{stage.addressing}:")
        began[stage.addressing] = time.monotonic()
        run(stage, *arguments, **options)

    def say_end(stage: Any, *arguments: Any, **options: Any) -> Any:
        done, name = reproduce(stage, *arguments, **options), stage.addressing
        if name in began:
            told.spent[name] = time.monotonic() - began[name]
            errors.say(f"{name}: {clock(told.spent[name])}")
        elif not stage.is_data_source:  # a dataset, which is not made
            errors.say(f"{name}: {RESTORED if done else UNCHANGED}")
        return done

    def say_else(*objects: Any, **options: Any) -> None:
        text = str(objects[0]) if objects else ""
        if text.startswith(RAN):
            told.experiment = text.removeprefix(RAN)
        elif not text.startswith(TALK):
            write(*objects, **options)

    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    Stage.reproduce, runner.cmd_run, ui.write = say_end, say_begin, say_else
    return told


def clock(seconds: float) -> str:
    """`3 s`, `8 min 12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
