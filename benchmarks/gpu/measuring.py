"""Times, bandwidth, percentiles, and kernels as torch.profiler counts them. Knows no engine."""

import itertools
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

LAUNCHES = re.compile(r"cu(da)?(Launch|GraphLaunch)")
COPIES = re.compile(r"Mem(cpy|set)")
ATTENTION = re.compile(r"fmha|flash|attention|sdpa|softmax|splitkv|paged", re.IGNORECASE)


def synchronize(device: torch.device) -> None:
    """Wait for a GPU's queued kernels; a CPU has none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_work(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of one call, its queued kernels included."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def measure_bandwidth(device: torch.device, size: int, copies: int = 8, runs: int = 4) -> float:
    """Return a device's bytes/s, read plus written, in copies of `size` bytes; best of `runs`."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        for _ in range(copies):
            target.copy_(source)

    copy()
    return 2 * size * copies / min(time_work(copy, device) for _ in range(runs))


def measure_product(device: torch.device, dtype: torch.dtype, side: int, runs: int = 3) -> float:
    """Return the FLOP/s of a product of two square matrices; best of `runs`."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    left @ right
    return 2 * side**3 / min(time_work(lambda: left @ right, device) for _ in range(runs))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that `share` of them do not exceed; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def intervals(times: Sequence[float], skipped: int = 0) -> list[float]:
    """Return the differences of consecutive times, without the first `skipped` of them."""
    return [late - early for early, late in itertools.pairwise(times)][skipped:]


@dataclass(frozen=True)
class Activity:
    """A kernel that a device ran, or a call that launched one."""

    name: str
    is_kernel: bool
    seconds: float


@dataclass(frozen=True)
class Activities:
    """Numbers of kernels and of launching calls, and the seconds that kernels and copies took."""

    kernels: float
    launches: float
    seconds: float


def record_activities(work: Callable[[], object], device: torch.device) -> list[Activity]:
    """Return what a device ran during `work`, in whatever thread; a CPU's operators are kernels."""
    kinds = [ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as profiler:
        work()
        synchronize(device)
    wanted = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    found = []
    for event in profiler.events():
        if LAUNCHES.match(event.name):
            found.append(Activity(event.name, False, 0.0))
        elif event.device_type == wanted:
            is_cuda = wanted == DeviceType.CUDA
            micro = event.time_range.elapsed_us() if is_cuda else event.self_cpu_time_total
            found.append(Activity(event.name, True, micro / 1e6))
    return found


def count_activities(activities: Iterable[Activity]) -> Activities:
    """Count kernels, launches and busy seconds; copies between buffers are busy, but no kernels."""
    found = list(activities)
    kernels = [a for a in found if a.is_kernel and not COPIES.match(a.name)]
    launches = sum(not a.is_kernel for a in found)
    return Activities(len(kernels), launches, sum(a.seconds for a in found))


def per_token(few: Activities, many: Activities, tokens: int) -> Activities:
    """Return what each of the `tokens` took by which an answer was longer than another."""
    return Activities(
        (many.kernels - few.kernels) / tokens,
        (many.launches - few.launches) / tokens,
        (many.seconds - few.seconds) / tokens,
    )


def attention_kernels(activities: Iterable[Activity], width: int = 60) -> list[str]:
    """Return the names of the kernels that compute attention, shortened, in order of first use."""
    names = (a.name for a in activities if a.is_kernel and ATTENTION.search(a.name))
    return list(dict.fromkeys(re.sub(r"^void |<.*", "", name)[:width] for name in names))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the norm of the difference by the norm of what was expected; NaN if any number is."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm())


def floor_rate(bandwidth: float, bytes_per_token: float) -> float:
    """Return the most tokens/s: each token reads its bytes once, at the rate of a copy."""
    return bandwidth / bytes_per_token
