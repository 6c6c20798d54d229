"""Registers Phi-3-V with transformers' Auto classes once a program imports transformers.

So a script needs no more than `import phi3v` before `from_pretrained`, and whoever never uses
transformers does not wait for it (3.8 s on two CPU cores).
"""

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class RegisteringFinder(MetaPathFinder):
    """Finds transformers as Python does, and registers Phi-3-V right after its import."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Return transformers' spec with a loader that registers; None for all other modules."""
        spec = PathFinder.find_spec(name, path) if name == "transformers" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            register()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register() -> None:
    """Import the modules that register their classes, unless they are being imported already."""
    for name in ("modeling", "image_processing", "processing"):
        importlib.import_module(f"phi3v.model.{name}")


def register_with_transformers() -> None:
    """Register now if transformers is imported already, else as soon as it is."""
    if "transformers" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, RegisteringFinder())
