"""The GPU benchmark's arithmetic, verdicts and command line on a CPU; figures are not tested."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time

import pytest
import torch
from support.golden import ROOT
from torch.nn.attention import SDPBackend

from benchmarks.gpu import stages
from benchmarks.gpu.__main__ import main, parse_options
from benchmarks.gpu.agreement import agreement
from benchmarks.gpu.asking import ask, make_text, show_picture
from benchmarks.gpu.captured import compare_ids
from benchmarks.gpu.context import Context, build_small, open_engine
from benchmarks.gpu.decoding import show_rate, show_share, summarize
from benchmarks.gpu.environment import CALLS, choose_backend
from benchmarks.gpu.first_token import judge_limit, judge_new
from benchmarks.gpu.leaks import judge_growth, judge_unused
from benchmarks.gpu.measuring import (
    Activities,
    Activity,
    attention_kernels,
    count_activities,
    floor_rate,
    intervals,
    measure_bandwidth,
    per_token,
    percentile,
    record_activities,
    relative_error,
)
from benchmarks.gpu.memory_limits import (
    CARDS,
    TABLE,
    Claim,
    judge_captures,
    judge_slots,
    read_claims,
)
from benchmarks.gpu.report import Report, Row, needs_cuda
from benchmarks.gpu.stages import STAGES, OutOfTime, Stage, run_stage, time_limit

CPU = torch.device("cpu")


def make_context(**settings) -> Context:
    return Context(CPU, torch.float32, small=True, **settings)


@pytest.fixture(scope="module")
def weights():
    return build_small(CPU, torch.float32)


class OnGpu(Context):
    """A context whose limits hold, although nothing runs on a GPU."""

    is_cuda = True
    is_real = True


def test_percentiles_are_values_of_the_list():
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.95) == 95
    assert percentile([7.0], 0.95) == 7
    assert percentile([], 0.5) != percentile([], 0.5)  # no number


def test_intervals_leave_out_the_first():
    assert intervals([1.0, 2.0, 4.0, 7.0], skipped=1) == [2, 3]


def test_a_rate_is_of_the_settled_tokens():
    times = [0.0, 1.0, 2.0, *(2 + 0.01 * n for n in range(1, 101))]
    rate = summarize(times, prompt_tokens=1000)
    assert rate.tokens_per_second == pytest.approx(100)
    assert rate.p50 == pytest.approx(0.01)
    assert rate.context == 1000 + len(times) / 2


def test_the_floor_is_bandwidth_by_bytes():
    assert floor_rate(4e12, 8e9) == 500
    assert measure_bandwidth(CPU, size=1000, copies=2, runs=1) > 0


def test_relative_errors_are_of_norms_and_tell_what_is_no_number():
    assert relative_error(torch.tensor([3.0, 4.1]), torch.tensor([3.0, 4.0])) == pytest.approx(0.02)
    broken = relative_error(torch.tensor([float("nan")]), torch.tensor([1.0]))
    assert not broken < 1


def test_kernels_launches_and_busy_seconds_are_counted():
    activities = [
        Activity("void gemv<float>(int)", True, 0.5),
        Activity("void flash::fwd_splitkv<Kernel>(int)", True, 0.25),
        Activity("Memcpy DtoH", True, 0.25),
        Activity("cudaGraphLaunch", False, 0.0),
    ]
    assert count_activities(activities) == Activities(2, 1, 1.0)
    assert attention_kernels(activities) == ["flash::fwd_splitkv"]
    few, many = Activities(100, 10, 1.0), Activities(500, 18, 3.0)
    assert per_token(few, many, 8) == Activities(50, 1, 0.25)


def test_the_profiler_s_operators_of_a_cpu_are_kernels():
    left = torch.ones(8, 8)
    found = record_activities(lambda: left @ left, CPU)
    assert any(activity.name == "aten::mm" and activity.is_kernel for activity in found)
    assert count_activities(found).seconds > 0


@pytest.mark.parametrize("call", CALLS)
def test_pytorch_names_the_backend_of_each_call(call):
    assert choose_backend(make_context(), *CALLS[call]) in SDPBackend.__members__


def test_ids_are_equal_only_in_length_too():
    assert compare_ids("", (1, 2, 3), (1, 2, 3)).passes
    row = compare_ids("", (1, 2), (1, 2, 3))
    assert (row.passes, row.value) == (False, "2 of 3 equal")
    assert compare_ids("", (1, 9, 3), (1, 2, 3)).value == "1 of 3 equal"


@pytest.mark.parametrize(
    ("captures", "passes"), [([4, 4, 4], True), ([2, 4, 6], False), ([0, 0, 1], False)]
)
def test_only_the_first_answer_may_capture(captures, passes):
    assert judge_captures(16, captures, (2048,)).passes is passes


def test_slots_are_compared_with_the_table():
    claim = Claim(context=10_000, slots=2304)
    assert judge_slots(16, 2048, claim).passes
    assert not judge_slots(16, 1024, claim).passes


def test_the_documentation_has_a_row_for_each_card():
    claims = read_claims(TABLE.read_text())
    assert set(CARDS) <= set(claims)
    assert all(claim.context > claim.slots > 0 for claim in claims.values())


def test_memory_may_neither_grow_nor_lie_about():
    assert judge_growth([1.0] * 10 + [5.0] * 30 + [5.2] * 10).passes
    assert not judge_growth([1.0] * 10 + [5.0] * 30 + [5.3] * 10).passes
    assert judge_unused([0.5] * 10 + [0.04] * 40).passes
    assert not judge_unused([0.0] * 49 + [0.06]).passes


def test_limits_hold_at_the_published_sizes_on_a_gpu_only(weights):
    real, small = OnGpu(CPU, torch.float32), make_context()
    assert judge_limit("", 121.0, 120, "", real).passes is False
    assert judge_limit("", 119.0, 120, "", real).passes
    assert judge_limit("", 121.0, 120, "", small).passes is None
    assert [judge_new(new, 1.0, True).passes for new in (1.2, 1.4)] == [True, False]
    assert judge_new(1.4, 1.0, False).passes is None
    rate = dataclasses.replace(summarize([0.0, 1.0, 2.0, 3.0, 4.0], 10), p95=3.0)
    assert [row.passes for row in show_rate("", rate, is_judged=True)] == [None, False]
    real.bandwidth = 1e3  # far less than a token's bytes: any rate is above the floor
    engine = open_engine(weights)
    assert show_share(real, engine, "", rate, is_judged=True).passes
    real.bandwidth = 1e15
    assert show_share(real, engine, "", rate, is_judged=True).passes is False


def test_a_report_is_whole_after_every_row(tmp_path, capsys):
    report = Report(tmp_path / "new", {"card": "a card"})
    report.append(Row("stage", "rate", 12.5, "tokens/s", True, ">= 10", "a note"))
    first = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert first["card"] == "a card"
    assert first["rows"][0]["passes"] is True
    assert not report.has_failed
    report.append(Row("stage", "difference", float("nan"), "", False))
    second = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert [row["value"] for row in second["rows"]] == [12.5, "nan"]
    assert report.has_failed
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["gpu.json"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "stage rate 12.5 tokens/s ok (>= 10) a note".split()
    assert "FAILED" in lines[1]


def test_a_failure_is_a_row(capsys):
    def run(context):
        yield Row("broken", "first", 1)
        raise RuntimeError("no such kernel")

    report = Report(None, {})
    run_stage(Stage("broken", 5, run), make_context(), report)
    assert [row.name for row in report.rows] == ["first", "error", "seconds"]
    assert "RuntimeError at test_benchmarks_gpu.py" in report.rows[1].note
    assert "no such kernel" in report.rows[1].note
    assert report.has_failed


@pytest.mark.parametrize(
    ("seconds", "left", "may_be_cut", "passes"),
    [(0.05, 60, False, False), (0.05, 60, True, None), (60, 0.2, False, None)],
    ids=["over its limit", "may be cut", "the run ends"],
)
def test_a_stage_ends_with_its_time(monkeypatch, seconds, left, may_be_cut, passes):
    monkeypatch.setattr(stages, "LEAST_SECONDS", 0)

    def run(context):
        yield needs_cuda("slow", "first")
        time.sleep(60)

    report = Report(None, {})
    context = OnGpu(CPU, torch.float32, deadline=time.monotonic() + left)
    run_stage(Stage("slow", seconds, run, may_be_cut), context, report)
    assert [row.name for row in report.rows] == ["first", "cut", "seconds"]
    assert report.rows[1].passes is passes


def test_libraries_cannot_swallow_the_end_of_the_time():
    def swallow():
        with time_limit(0.05), contextlib.suppress(Exception):
            time.sleep(60)

    with pytest.raises(OutOfTime):
        swallow()


def test_a_stage_without_time_says_so():
    report = Report(None, {})
    context = make_context(deadline=time.monotonic() + 1)
    run_stage(Stage("late", 5, lambda context: iter(())), context, report)
    (row,) = report.rows
    assert (row.note, row.passes) == ("no time left", None)


def test_the_first_five_stages_fit_240_seconds():
    assert sum(stage.seconds for stage in STAGES[:5]) <= 225
    assert [stage.seconds for stage in STAGES if stage.name == "compiled"] == [90]


def test_a_text_has_as_many_tokens_as_asked_for(weights):
    context, engine = make_context(), open_engine(weights)
    turns = make_text(context, weights.processor, 300)
    answered = ask(engine, turns, new_tokens=5)
    assert answered.statistics.prompt_tokens == 300
    assert len(answered.ids) == len(answered.moments.tokens) == 5
    assert answered.prepared_to_first_token > 0
    assert turns != make_text(context, weights.processor, 300)


def test_the_engine_is_as_before_after_a_question(weights):
    engine = open_engine(weights)
    ask(engine, show_picture(make_context(), (336, 336)), new_tokens=2)
    assert "encode" not in vars(engine.vision_cache)
    assert engine.vision_cache.encoded_images == 1


def test_golden_vectors_pass_where_the_device_is_a_cpu():
    rows = []
    for row in agreement(make_context()):
        rows.append(row)
        if row.name == "golden ids":
            break
    assert [row.passes for row in rows] == [True, True]


def test_options_have_the_documented_defaults():
    options = parse_options([])
    assert (options.seconds, options.layers, options.stage) == (420, 32, None)
    assert parse_options(["--stage", "stop", "--stage", "fifty"]).stage == ["stop", "fifty"]


def test_a_small_run_passes_on_a_cpu(tmp_path, capsys):
    names = ["environment", "captured", "decoding", "first-token", "shortage", "stop", "flash-attn"]
    chosen = [word for name in names for word in ("--stage", name)]
    arguments = ["--device", "cpu", "--small", "--dtype", "float32", "--out", str(tmp_path)]
    assert main([*arguments, *chosen]) == 0
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["stage"] for row in content["rows"]} == set(names)
    assert content["torch"] == torch.__version__
    notes = {(row["stage"], row["name"]): row["note"] for row in content["rows"]}
    assert notes["decoding", "kernels a token"] == "needs CUDA"
    assert notes["flash-attn", "beside sdpa"] in ("not installed", "needs CUDA")
    assert "failed: none" in capsys.readouterr().out


def test_it_needs_the_core_only():
    code = """
import sys
import benchmarks.gpu.__main__
print({"gradio", "spaces", "pydantic_settings", "pypdfium2", "skimage"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr
