"""The choice of model and adapter for a conversation, where the app was started with several.

Knows the choices and their components; knows no particular tab.
"""

from typing import Any

import gradio as gr

from phi3v.inference.adapter_files import name_adapters
from phi3v.inference.checkpoint_files import EMBEDDED
from phi3v.inference.model_choice import ModelChoice
from phi3v.settings import Settings
from phi3v.ui import words

Choice = tuple[gr.Dropdown, gr.Dropdown]


def lay_out_choice(engine: object, settings: Settings) -> Choice:
    """Create the menus of models and adapters; one without a choice is invisible."""
    models = name_models(engine)
    adapters = [adapter.name for adapter in name_adapters(settings.adapters)]
    menu: dict[str, Any] = {"filterable": False, "interactive": True}
    return (
        gr.Dropdown(
            models,
            value=models[0][1] if models else None,
            label=words.MODEL,
            info=words.MODEL_HINT,
            visible=bool(models),
            **menu,
        ),
        gr.Dropdown(
            [*((name, name) for name in adapters), (words.NO_ADAPTER, "")] if adapters else [],
            value=adapters[0] if adapters else None,
            label=words.ADAPTER,
            info=words.ADAPTER_HINT,
            visible=bool(adapters),
            **menu,
        ),
    )


def name_models(engine: object) -> list[tuple[str, str]]:
    """Return (label, name) pairs of the models to choose from; the label has the memory's size."""
    if not isinstance(engine, ModelChoice):
        return []
    return [
        (f"{name} · {show_size(offer.weight_bytes)}" if offer.weight_bytes else name, name)
        for name, offer in engine.offers.items()
    ]


def show_size(count: int) -> str:
    """Format a number of bytes: 8,293,242,880 is "8.3 GB", and 20,000,000 "20 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def choose_source(model: str | None = None, adapter: str | None = None) -> dict[str, Any]:
    """Return the fields of a Request for the menus' values; None where there is no choice."""
    return {"model": model or None, "adapter": adapter}


def is_embedded(engine: Any, model: str | None = None) -> bool:
    """True if the chosen model, or the engine's if there is no choice, is the embedded one."""
    if model and isinstance(engine, ModelChoice) and model in engine.offers:
        return engine.offers[model].checkpoint == EMBEDDED
    return bool(engine.is_embedded)


def find_checkpoint_name(engine: Any, model: str | None = None) -> str:
    """Return the checkpoint of the chosen model, or the engine's if there is no choice."""
    if model and isinstance(engine, ModelChoice) and model in engine.offers:
        return engine.offers[model].checkpoint
    return str(engine.name)


def show_choice(engine: object, settings: Settings, model: str, adapter: str) -> tuple[Any, Any]:
    """Return updates of the menus for a loaded conversation; what is not offered stays."""
    models = [name for _, name in name_models(engine)]
    adapters = [place.name for place in name_adapters(settings.adapters)]
    return (
        model if model in models else gr.skip(),
        adapter if adapters and adapter in [*adapters, ""] else gr.skip(),
    )
