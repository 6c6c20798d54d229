"""From settings to an engine with servers behind it; imports neither torch nor transformers."""

from phi3v.inference.checkpoint_files import find_processor_files
from phi3v.remote import RemoteEngine
from phi3v.settings import Settings


def connect(settings: Settings) -> RemoteEngine:
    """Return the engine of the settings' servers; it connects in the background."""
    key = settings.server_key.get_secret_value() if settings.server_key else ""
    parallel = None if settings.parallel == "auto" else settings.parallel
    return RemoteEngine(settings.servers, settings.models[0], find_processor_files, key, parallel)
