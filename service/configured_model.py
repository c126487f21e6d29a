"""The model that the settings mean; what reads a model file is imported when one is looked for."""

from dataclasses import dataclass
from pathlib import Path

from service.core.space import Space
from service.errors import BadRequest, Refused
from service.sections import AUTO
from service.settings import ELSEWHERE, Settings

BAKED_IN = Path("/opt/tidestone/models")  # where the container image has its model


@dataclass(frozen=True, slots=True)
class Model:
    """The configured model, known by its file's head; nothing is loaded."""

    path: Path
    space: Space
    weights: str  # as a collection remembers them


def find_model(settings: Settings) -> Model:
    """The configured model. Raises Refused, which says how to get one."""
    from service.embedders.gguf_facts import read_space

    embedding = settings.embedding
    path, weights = embedding.model_path, ""
    if str(path) == AUTO:
        path, weights = _default_model(settings)
    elif not path.is_file():
        raise Refused(f"embedding.model_path names {path}, which is not there: correct it, or leave it out.")
    space = read_space(
        path,
        token_limit=embedding.max_tokens,
        normalised=embedding.normalize,
        prefix=embedding.prefix,
        query_prefix=embedding.query_prefix,
    )
    if settings.chunking.max_tokens > space.max_tokens:
        raise BadRequest(f"chunking.max_tokens is more than the {space.max_tokens} tokens that {path} takes.")
    return Model(path, space, weights or space.weights)


def _default_model(settings: Settings) -> tuple[Path, str]:
    from service.embedders.machine import choose_weights
    from service.embedders.model import default_model_path

    asked = settings.embedding.weights
    kinds = ["bf16", "f16"] if choose_weights() == "bf16" else ["f16", "bf16"]
    for weights in kinds if asked == AUTO else [asked]:  # float weights share one space
        for folder in (settings.folder / "models", BAKED_IN):
            path = default_model_path(folder, weights)
            if path.exists():
                return path, weights
    raise Refused(
        f"There is no model in {settings.folder / 'models'} or {BAKED_IN}: `tidestone model build` makes it, "
        f"or name a GGUF file as embedding.model_path, or {ELSEWHERE}"
    )
