"""Answers on ZeroGPU, as far as the `spaces` package can be run on a CPU; see support.zero_gpu."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="ZeroGPU is Linux: it reads /proc"),
    pytest.mark.skipif(
        not (EMBEDDED_FOLDER / "config.json").exists(),
        reason="the embedded checkpoint is not here; see training/",
    ),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened in a process with `spaces` switched on: one run for all tests."""
    path = tmp_path_factory.mktemp("zero_gpu") / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "support.zero_gpu", str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests"), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return json.loads(path.read_text())


def names(answer: dict[str, Any]) -> list[str]:
    """The calls of the device API, in order."""
    return [name for name, _ in answer["calls"]]


def parameters(answer: dict[str, Any], name: str) -> dict[str, str]:
    """The parameters of an answer's only call of that name."""
    (found,) = (values for called, values in answer["calls"] if called == name)
    return found


def test_weights_are_loaded_for_a_gpu_that_is_not_there_yet(report: dict[str, Any]) -> None:
    assert report["devices"] == ["cuda:0"]


def test_an_answer_streams_from_a_forked_worker(report: dict[str, Any]) -> None:
    first = report["first"]
    assert names(first) == ["schedule", "allow", "release"]
    assert first["pid"] == int(parameters(first, "allow")["pid"]) != report["pid"]
    assert len(first["texts"]) > 1
    assert "Total" in "".join(first["texts"])
    statistics = first["statistics"]
    assert statistics["finish_reason"] == "end"
    assert statistics["image_tokens"] > 0
    assert first["passes"] >= statistics["new_tokens"] > 0


def test_a_gpu_is_lent_for_as_long_as_the_answer_may_take(report: dict[str, Any]) -> None:
    # 10 seconds to start, 2 for the picture, 0.05 for each of 128 tokens
    assert parameters(report["first"], "schedule")["durationSeconds"] == "18"
    assert parameters(report["first"], "release")["fail"] == "false"


def test_a_stop_string_ends_an_answer_in_the_worker(report: dict[str, Any]) -> None:
    stopped, whole = report["stopped_at_total"], "".join(report["first"]["texts"])
    assert "".join(stopped["texts"]) == whole.partition("Total")[0]
    assert stopped["statistics"]["finish_reason"] == "end"
    assert names(stopped) == ["schedule", "release"]


def test_a_follow_up_is_answered_by_the_same_worker_with_its_caches(report: dict[str, Any]) -> None:
    follow_up = report["follow_up"]
    assert names(follow_up) == ["schedule", "release"]
    assert follow_up["pid"] == report["first"]["pid"]
    assert follow_up["statistics"]["reused_tokens"] > 64
    assert follow_up["statistics"]["new_tokens"] > 0


def test_what_cannot_be_answered_is_refused_before_a_gpu_is_asked_for(
    report: dict[str, Any],
) -> None:
    assert "is not a picture" in report["broken"]["error"]
    assert "the context holds 2560" in report["too_long"]["error"]
    assert report["broken"]["calls"] == report["too_long"]["calls"] == []


def test_a_reader_who_leaves_ends_the_answer_and_not_the_worker(report: dict[str, Any]) -> None:
    left, following = report["left"], report["after_leaving"]
    assert left["statistics"] is None
    assert names(left) == names(following) == ["schedule", "release"]
    assert following["pid"] == report["first"]["pid"]
    assert following["statistics"]["finish_reason"] == "length"  # it does not end by itself
    assert left["passes"] + following["passes"] < 1000  # of 2000, had it gone on


def test_a_failure_in_a_worker_is_reported_in_plain_words(report: dict[str, Any]) -> None:
    failed = report["failed"]
    assert "written to the log" in failed["error"]
    assert parameters(failed, "release")["fail"] == "true"


def test_after_a_failure_another_worker_answers(report: dict[str, Any]) -> None:
    failed, following = report["failed"], report["after_failing"]
    assert "".join(following["texts"]) == "all is well"
    assert parameters(following, "allow")["pid"] != parameters(failed, "allow")["pid"]
