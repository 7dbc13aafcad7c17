"""The scalars of a training, to DVCLive: an output of the stage. TensorBoard's are in detector/board."""

from collections.abc import Mapping

from dvclive import Live

from detector.base import paths


class Log:
    """`log(step, scalars)`, while it is entered."""

    def __enter__(self) -> "Log":
        self._live = Live(str(paths.TRAIN_RESULTS), save_dvc_exp=False, dvcyaml=None, report=None)
        return self

    def __call__(self, step: int, scalars: Mapping[str, float]) -> None:
        self._live.step = step
        for name, value in scalars.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def __exit__(self, *_: object) -> None:
        self._live.end()


def nothing(step: int, scalars: Mapping[str, float]) -> None:
    """For workers other than the chief, which logs for all."""
