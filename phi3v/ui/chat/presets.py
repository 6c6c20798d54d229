"""Ready questions: choosing one fills the question's box. Their wording is in phi3v.tasks."""

from functools import partial

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.tasks import Task, find_preset
from phi3v.ui.chat.layout import Tab
from phi3v.ui.choosing import is_embedded
from phi3v.ui.wiring import UNQUEUED


def connect_presets(engine: StreamingEngine, task: Task, tab: Tab) -> None:
    """Attach the event that copies a chosen ready question into the question's box."""
    chosen = [tab.preset, tab.choice[0]]
    tab.preset.select(partial(word_preset, engine, task), chosen, tab.question, **UNQUEUED)


def word_preset(
    engine: StreamingEngine,
    task: Task,
    name: str | None,
    model: str | None = None,
) -> str:
    """Return a preset in the wording for the chosen model; empty for "own question"."""
    preset = find_preset(task, name or "")
    return preset.wording(is_embedded(engine, model)) if preset.prompt else ""
