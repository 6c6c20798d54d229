"""Training loop: runs the stages in order, and resumes at any step."""

import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import PreTrainedTokenizerFast

from training.batches import Batch, Pages, Questions
from training.drills import Drills
from training.journal import append_row
from training.layouts import SLOTS, Layout
from training.losses import Trainee
from training.network import Network
from training.optimizer import build_optimizers, has_fast_bfloat16
from training.settings import Config, Stage
from training.tokenizer import load_tokenizer, write_tokenizer
from training.tower import Sizes

SAVE_SECONDS = 240
WORKER_NICE = 10
AHEAD = 3  # batches copied to the GPU in advance
LOG_STEPS = 50
WEIGHT_DECAY = 0.02
DRILL_WEIGHT = 1.0  # of the loss of text-only sentences
PAGE_CELLS = 6  # side of the windows of dense pages that go with questions
PAGE_TASKS = {"plain": 0.1, "page": 0.9}


def build_trainee(config: Config, tokenizer: PreTrainedTokenizerFast) -> Trainee:
    """Build an untrained model from the seed."""
    torch.manual_seed(config.seed)
    return Trainee(Network(Sizes(vocab_size=len(tokenizer), **config.network)))


def rate_factor(stage: Stage, step: int) -> float:
    """Return the learning rates' factor: warm-up, constant, linear fall to `final`."""
    rest = min(1.0, (stage.steps - step) / max(1.0, stage.steps * stage.decay))
    return min((step + 1) / stage.warmup, stage.final + (1 - stage.final) * rest)


def make_dataset(stage: Stage, seed: int, tokenizer: PreTrainedTokenizerFast) -> Dataset:
    """Build the dataset of a stage's batches."""
    if stage.kind == "tower":
        return Pages(seed, stage.steps, stage.batch, stage.cells, stage.tasks, stage.breadth)
    pages = None
    if stage.pages:
        pages = Pages(seed, stage.steps, stage.pages, PAGE_CELLS, PAGE_TASKS, stage.breadth)
    drills = Drills(seed, stage.steps, stage.drills, tokenizer) if stage.drills else None
    return Questions(seed, stage, tokenizer, pages, drills)


def move(value: object, device: torch.device) -> object:
    """Move a batch, a dataclass of tensors and dataclasses, to the device."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if value is None or isinstance(value, int | Layout):
        return value
    assert is_dataclass(value)
    moved = {f.name: move(getattr(value, f.name), device) for f in fields(value)}
    return type(value)(**moved)


def keep_whole(rows: list) -> object:
    """Return the only item: datasets give whole batches, so nothing is collated."""
    return rows[0]


def settle_worker(_: int) -> None:
    """Give a worker one thread and low priority; SIGTERM ends it, Ctrl-C does not."""
    torch.set_num_threads(1)
    os.nice(WORKER_NICE)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def load_batches(dataset: Dataset, start: int, workers: int) -> Iterator:
    """Return an iterator of batches from number `start` on, drawn by worker processes."""
    rest = Subset(dataset, range(start, len(dataset)))  # type: ignore[arg-type]
    return iter(
        DataLoader(
            rest,
            batch_size=1,
            collate_fn=keep_whole,
            num_workers=workers,
            prefetch_factor=6 if workers else None,
            worker_init_fn=settle_worker,
        )
    )


def move_ahead(batches: Iterator, device: torch.device) -> Iterator:
    """Yield batches on the device; a thread copies a GPU's next ones during training steps."""
    if device.type != "cuda":
        yield from (move(batch, device) for batch in batches)
        return
    stream = torch.cuda.Stream(device)

    def fetch() -> object:
        with torch.cuda.stream(stream):
            batch = move(next(batches, None), device)
        stream.synchronize()
        return batch

    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(fetch) for _ in range(AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(thread.submit(fetch))
            yield batch


class Training:
    """State of a run: weights, optimizers, current stage and step."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        device: str,
        compiled: bool,
        weights: Path | None = None,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        write_tokenizer(folder)
        self.config, self.folder, self.device = config, folder, torch.device(device)
        self.tokenizer = load_tokenizer(folder)
        self.trainee = build_trainee(config, self.tokenizer).to(self.device)
        if weights:
            self.begin_from(weights)
        if compiled:
            self.compile_layers()
        self.stage_index, self.step = 0, 0
        self.optimizers: list[torch.optim.Optimizer] = []
        self.loaded: list[dict] | None = None
        self.stopping = False
        if (folder / "state.pt").exists():
            self.resume()

    def begin_from(self, folder: Path) -> None:
        """Take the weights of a checkpoint that `export` wrote; training's own heads begin anew.

        The head of a cell's slots begins as the cell itself: from random weights its loss is a
        hundred times the others', and would pull the network away from what it knows.
        """
        self.trainee.network.load_state_dict(load_file(folder / "model.safetensors"))
        slots = self.trainee.slots
        with torch.no_grad():
            slots.weight.copy_(torch.eye(slots.in_features).repeat(SLOTS, 1))
            slots.bias.zero_()

    def compile_layers(self) -> None:
        """Compile one layer of each kind; layers of a kind share the compiled code."""
        torch._dynamo.config.cache_size_limit = 64
        network = self.trainee.network
        for layer in (
            *network.images.img_processor.vision_model.encoder.layers,
            *network.model.layers,
        ):
            layer.compile(dynamic=False)

    def resume(self) -> None:
        """Restore the state that `save` wrote."""
        state = torch.load(self.folder / "state.pt", weights_only=True, map_location=self.device)
        self.trainee.load_state_dict(state["trainee"])
        self.stage_index, self.step = state["stage_index"], state["step"]
        self.loaded = state["optimizers"]

    def save(self) -> None:
        """Write the state atomically."""
        state = {
            "trainee": self.trainee.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "stage_index": self.stage_index,
            "step": self.step,
        }
        temporary = self.folder / "state.new"
        torch.save(state, temporary)
        temporary.replace(self.folder / "state.pt")

    def stop(self, *_: object) -> None:
        """Save after the current step, and end; the handler of SIGTERM and Ctrl-C."""
        self.stopping = True

    def run(self, workers: int) -> None:
        """Run all stages that are left.

        Raises:
            SystemExit: a signal asked to stop; the state is saved.
        """
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while self.stage_index < len(self.config.stages):
            stage = self.config.stages[self.stage_index]
            self.run_stage(stage, workers)
            self.stage_index, self.step, self.loaded = self.stage_index + 1, 0, None
            self.optimizers = []
            self.save()

    def prepare(self, stage: Stage) -> None:
        """Build or restore a stage's optimizers; the vision side has rates of its own."""
        tower = self.trainee.network.images
        self.optimizers = build_optimizers(
            self.trainee, stage.muon_rate, stage.adam_rate, WEIGHT_DECAY, tower, stage.tower_rate
        )
        if self.loaded:
            for optimizer, state in zip(self.optimizers, self.loaded, strict=True):
                optimizer.load_state_dict(state)
            self.loaded = None
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group.setdefault("full_rate", group["lr"])

    def take_step(self, stage: Stage, batch: object) -> dict[str, Tensor]:
        """Update the weights once; return losses and accuracies by name."""
        fast = has_fast_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            if stage.kind == "tower":
                losses = self.trainee.read_pages(batch, stage.placing)
            else:
                losses = self.answer(stage, batch)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0)
        factor = rate_factor(stage, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["full_rate"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    def answer(self, stage: Stage, batch: Batch) -> dict[str, Tensor]:
        """Return losses of questions, their pictures' cells, and auxiliary batches."""
        trainee = self.trainee
        tokens, cells = trainee.see(batch)
        losses = trainee.answer(batch.turns, tokens.flatten(0, 1), stage.pointing)
        naming, losses["f1"] = trainee.name_cells(cells, batch.frames.names)
        placing, losses["placed"] = trainee.place_cells(cells, batch.frames)
        losses["loss"] = losses["loss"] + stage.naming * naming + stage.placing * placing
        if batch.pages:
            pages = trainee.read_pages(batch.pages)
            losses["loss"] = losses["loss"] + stage.naming * pages["loss"]
            losses["pages"] = pages["f1"]
        if batch.drills:
            drills = trainee.judge(batch.drills)
            losses["loss"] = losses["loss"] + DRILL_WEIGHT * drills["loss"]
            losses["drills"] = drills["right"]
        return losses

    def run_stage(self, stage: Stage, workers: int) -> None:
        """Run a stage from the current step to its end; raises as `run`."""
        self.prepare(stage)
        dataset = make_dataset(stage, self.config.seed * 100 + self.stage_index, self.tokenizer)
        sums: dict[str, float] = {}
        saved = logged = time.monotonic()
        waited, counted = 0.0, 0
        batches = move_ahead(load_batches(dataset, self.step, workers), self.device)
        while self.step < stage.steps:
            before = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - before
            for name, value in self.take_step(stage, batch).items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            self.step += 1
            counted += 1
            now = time.monotonic()
            if self.step % LOG_STEPS == 0:
                figures = {"seconds": now - logged, "waited": waited, **sums}
                means = {name: value / counted for name, value in figures.items()}
                append_row(self.folder / "log.csv", stage.name, self.step, means)
                sums, logged, waited, counted = {}, now, 0.0, 0
            if now - saved > SAVE_SECONDS or self.stopping:
                self.save()
                saved = now
            if self.stopping:
                raise SystemExit(f"stopped and saved at step {self.step} of {stage.name}")
