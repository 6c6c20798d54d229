"""A checkpoint's answers to the tutorials' questions; needs its weights.

    PHI3V_MODEL=microsoft/Phi-3.5-vision-instruct python -m pytest -m weights

One test with a subtest for each question: parallel workers would load the weights once each.
`python -m benchmarks.published MODEL` runs the same, and public sets besides.
"""

import json
import os

import pytest

from benchmarks.published import TUTORIALS, main
from phi3v.inference.checkpoint_files import find_checkpoint
from phi3v.request import RequestError

pytestmark = pytest.mark.weights

COMMAND = "PHI3V_MODEL=microsoft/Phi-3.5-vision-instruct pytest -m weights"


@pytest.fixture
def model() -> str:
    """The name of the checkpoint to test; skips where there is none."""
    name = os.environ.get("PHI3V_MODEL", "")
    if not name:
        pytest.skip(f"PHI3V_MODEL names no checkpoint; run it as `{COMMAND}`")
    try:
        find_checkpoint(name)
    except RequestError as error:
        pytest.skip(f"{error} Run it as `{COMMAND}`")
    return name


def test_the_tutorials_questions_have_their_known_answers(model, tmp_path, subtests):
    code = main([model, "--out", str(tmp_path / "results.json")])
    assert code != 2, "the checkpoint cannot be used here, see the output"
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert results["is_whole"]
    assert [case["title"] for case in results["tutorials"]] == [t.title for t in TUTORIALS]
    for case in results["tutorials"]:
        with subtests.test(case["title"]):
            assert case["missing"] == [], case["answer"]
