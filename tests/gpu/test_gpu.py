"""The stages of `python -m benchmarks.gpu` as tests; see benchmarks/gpu.md for how to run them."""

import time

import pytest
import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.report import Report
from benchmarks.gpu.stages import STAGES, Stage, run_stage
from phi3v.inference.hardware import choose_dtype

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def context() -> Context:
    device = torch.device("cuda")
    return Context(device, choose_dtype(device, "auto")[0], deadline=time.monotonic() + 600)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_no_row_fails_whatever_the_times(context: Context, stage: Stage) -> None:
    report = Report(None, {})
    run_stage(stage, context, report)
    failed = [row for row in report.rows if row.passes is False and not row.is_timed]
    assert failed == []
