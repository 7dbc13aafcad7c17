"""Steps and batch by what a runtime has; what the user gives counts."""

import pytest

from tools.notebooks import runtime


@pytest.mark.parametrize(
    ("given", "expected", "line"),
    [
        (("cpu", 0, 0), (500, 16), "this runtime has a CPU: 500 steps of 16 photos"),
        (("gpu", 0, 0), (1000, 32), "this runtime has a GPU: 1,000 steps of 32 photos"),
        (("tpu", 0, 0), (1000, 64), "this runtime has a TPU: 1,000 steps of 64 photos"),
        (("tpu", 7, 0), (7, 64), "this runtime has a TPU: 7 steps of 64 photos"),
        (("gpu", 0, 1), (1000, 1), "this runtime has a GPU: 1,000 steps of 1 photo"),
    ],
)
def test_what_is_given_counts_and_0_is_what_suits(
    given: tuple[str, int, int], expected: tuple[int, int], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runtime.chosen(*given) == expected
    assert capsys.readouterr().out == f"{line}\n"


def test_auto_is_what_would_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_TPU_1VM", "1")
    assert runtime.chosen("auto", 0, 0) == runtime.chosen("tpu", 0, 0)
