"""detector.data.score_threshold: `auto` is the model's own."""

import pytest

from detector.data import score_threshold


@pytest.mark.parametrize(
    ("content", "expected"),
    [('{"score_threshold": 0.37}', 0.37), ("{}", 0.5), ("[]", 0.5), ("x", 0.5), ('{"score_threshold": "x"}', 0.5)],
)
def test_auto_is_the_models_own(tmp_path, content, expected):
    record = tmp_path / "model.json"
    assert score_threshold.of("auto", record) == 0.5
    record.write_text(content)
    assert score_threshold.of("auto", record) == expected
    assert score_threshold.of(0.9, record) == 0.9
