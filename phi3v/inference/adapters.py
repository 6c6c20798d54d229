"""Loads PEFT adapters on top of a model and puts one of them, or none, into effect.

Knows the model's modules by name only; knows nothing of requests.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from phi3v.inference.adapter_files import WEIGHTS, AdapterPlace, find_adapter
from phi3v.model import Phi3VForCausalLM
from phi3v.request import RequestError
from phi3v.translatable import Text

logger = logging.getLogger(__name__)

PREFIX = "base_model.model."  # of PEFT's files
KEY = "default"  # PEFT's name of an adapter within the modules
MOST_NAMED = 8  # tensors in a message
# Kinds of adapters that put tokens before the prompt; its other kinds change weights.
PROMPT_LEARNING = ("is_prompt_learning", "is_adaption_prompt")


@dataclass(frozen=True)
class Replacement:
    """A module of the model and the one that an adapter puts in its place."""

    parent: nn.Module
    name: str
    own: nn.Module
    adapted: nn.Module


class Adapters:
    """The adapters on top of a model, none of them in effect until one is chosen.

    While none is, the model has its own modules only, so that its answers and its speed are those
    of a model without adapters. Where one does not fit, RequestError names its tensors: here, or
    with needs_all=False when it is chosen.
    """

    def __init__(
        self,
        model: Phi3VForCausalLM,
        places: Sequence[AdapterPlace] = (),
        needs_all: bool = True,
    ) -> None:
        self.names = tuple(place.name for place in places)
        self.chosen = ""
        self._replacements: dict[str, tuple[Replacement, ...]] = {}
        self._problems: dict[str, RequestError] = {}
        for place in places:
            try:
                self._replacements[place.name] = load_adapter(model, place)
            except RequestError as error:
                if needs_all:
                    raise
                self._problems[place.name] = error
                logger.warning("%s", error)

    def check(self, name: str | None) -> str:
        """Return the name of an adapter, "" for none, the first that fits for None.

        Raises RequestError for another name, and for an adapter that does not fit.
        """
        if name is None:
            return next(iter(self._replacements), "")
        if name in self._problems:
            raise RequestError(self._problems[name].text)
        if name and name not in self.names:
            raise RequestError(
                "There is no adapter {name!r}; there is: {known}.",
                name=name,
                known=", ".join(self.names) or Text("none"),
            )
        return name

    def number(self, name: str) -> int:
        """Return an adapter's number, from 1; 0 for none."""
        return self.names.index(name) + 1 if name else 0

    def choose(self, name: str) -> None:
        """Put an adapter into effect in place of the last one, or none for ""."""
        if name == self.chosen:
            return
        for one in self._replacements.get(self.chosen, ()):
            one.parent.register_module(one.name, one.own)
        for one in self._replacements.get(name, ()):
            one.parent.register_module(one.name, one.adapted)
        self.chosen = name


def load_adapter(model: Phi3VForCausalLM, adapter: AdapterPlace) -> tuple[Replacement, ...]:
    """Return an adapter's modules, which share the model's weights; the model stays as it is.

    Raises RequestError where the adapter does not fit.
    """
    import peft

    folder = find_adapter(adapter.place)
    config = read_config(adapter.name, folder)
    tensors = {
        name.removeprefix(PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()
    }
    drop_unchanged(model, tensors)
    check_fit(adapter.name, expect_tensors(model, config, adapter.name), tensors)
    modules = dict(model.named_modules(remove_duplicate=False))
    peft.inject_adapter_in_model(config, model, KEY)
    peft.set_peft_model_state_dict(model, tensors, KEY)
    model.eval()
    replacements = find_replacements(modules)
    for one in replacements:
        one.parent.register_module(one.name, one.own)
    del model.peft_config
    logger.info("Adapter %s: %d tensors of %s.", adapter.name, len(tensors), config.peft_type)
    return replacements


def find_replacements(modules: Mapping[str, nn.Module]) -> tuple[Replacement, ...]:
    """Return what has been replaced of a model whose modules, by name, were these."""
    replacements = []
    for path, module in modules.items():
        parent_path, _, name = path.rpartition(".")
        now = modules[parent_path]._modules.get(name) if path else module
        if now is not None and now is not module:
            replacements.append(Replacement(modules[parent_path], name, module, now))
    return tuple(replacements)


def read_config(name: str, folder: Path) -> Any:
    """Return an adapter's configuration, to be used for answers only.

    Raises RequestError for one that PEFT cannot read, and for kinds that change no weights.
    """
    import peft

    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
    except (TypeError, ValueError, KeyError) as error:
        raise RequestError(
            "The adapter {name} has a configuration that this PEFT cannot read ({error}).",
            name=name,
            error=error,
        ) from error
    if any(getattr(config, kind, False) for kind in PROMPT_LEARNING):
        raise RequestError(
            "The adapter {name} is of the kind {kind}, which changes prompts instead of weights: "
            "use LoRA or another kind that changes weights.",
            name=name,
            kind=config.peft_type.value,
        )
    config.inference_mode = True
    if hasattr(config, "init_lora_weights"):
        config.init_lora_weights = True  # they are replaced; other ways to begin take long
    return config


def drop_unchanged(model: Phi3VForCausalLM, tensors: dict[str, torch.Tensor]) -> None:
    """Remove the model's own embedding and head, which PEFT saves too, unless they were trained."""
    own = dict(model.named_parameters())
    for name in list(tensors):
        base = own.get(name.replace(".base_layer", ""))
        if base is not None and base.shape == tensors[name].shape:
            saved = tensors[name].to(base)
            if torch.equal(saved, base):
                del tensors[name]


def expect_tensors(model: Phi3VForCausalLM, config: Any, name: str) -> dict[str, torch.Size]:
    """Return the names and shapes of an adapter's tensors, from a model without weights.

    Raises RequestError if it has none of the modules that the adapter changes.
    """
    import peft

    with torch.device("meta"):
        bare = type(model)._from_config(model.config)
        try:
            peft.inject_adapter_in_model(config, bare, KEY, low_cpu_mem_usage=True)
        except ValueError as error:
            raise RequestError(
                "The adapter {name} does not fit this model: {error}", name=name, error=error
            ) from error
        state = peft.get_peft_model_state_dict(bare, adapter_name=KEY, save_embedding_layers=False)
    return {key.removeprefix(PREFIX): tensor.shape for key, tensor in state.items()}


def check_fit(
    name: str, expected: Mapping[str, torch.Size], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Raise RequestError naming the tensors that are missing, unexpected or of another shape."""
    shared = expected.keys() & tensors.keys()
    problems = {
        "missing": expected.keys() - shared,
        "unexpected": tensors.keys() - shared,
        "of another shape": {key for key in shared if tensors[key].shape != expected[key]},
    }
    lines = [f"{kind}: {shorten(sorted(keys))}" for kind, keys in problems.items() if keys]
    if lines:
        raise RequestError(
            "The adapter {name} does not fit this model. {problems}. Choose the checkpoint that it "
            "was trained on.",
            name=name,
            problems="; ".join(lines),
        )


def shorten(names: list[str]) -> str:
    """Return names as a list, of many only the first."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
