from .engine import RemoteEngine as RemoteEngine
from .servers import Server as Server
