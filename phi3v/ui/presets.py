"""Ready questions: the one that is chosen is put into the question's box."""

from functools import partial

from phi3v.starting import StartingEngine
from phi3v.tasks import Task, find_preset
from phi3v.ui.answering import StreamingEngine
from phi3v.ui.layout import Tab
from phi3v.ui.wiring import AT_ONCE


def connect_presets(engine: StreamingEngine | StartingEngine, task: Task, tab: Tab) -> None:
    """Attach the choice of a ready question to the question's box."""
    tab.preset.select(partial(word_preset, engine, task), tab.preset, tab.question, **AT_ONCE)


def word_preset(engine: StreamingEngine | StartingEngine, task: Task, name: str | None) -> str:
    """A preset in the words that suit the network; empty for one's own question."""
    preset = find_preset(task, name or "")
    return preset.wording(engine.is_embedded) if preset.prompt else ""
