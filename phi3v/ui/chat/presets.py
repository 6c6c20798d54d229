"""Ready questions: the one that is chosen is put into the question's box."""

from functools import partial

from phi3v.conversation.engine_protocol import StreamingEngine
from phi3v.inference.background_loading import LoadingEngine
from phi3v.tasks import Task, find_preset
from phi3v.ui.chat.layout import Tab
from phi3v.ui.wiring import AT_ONCE


def connect_presets(engine: StreamingEngine | LoadingEngine, task: Task, tab: Tab) -> None:
    """Attach the choice of a ready question to the question's box."""
    tab.preset.select(partial(word_preset, engine, task), tab.preset, tab.question, **AT_ONCE)


def word_preset(engine: StreamingEngine | LoadingEngine, task: Task, name: str | None) -> str:
    """A preset in the words that suit the network; empty for one's own question."""
    preset = find_preset(task, name or "")
    return preset.wording(engine.is_embedded) if preset.prompt else ""
