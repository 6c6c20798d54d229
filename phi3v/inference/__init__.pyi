from .background_loading import LoadingEngine as LoadingEngine
from .engine import Engine as Engine
from .loading import load as load
