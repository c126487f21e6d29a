"""A GGUF file's facts decide which embedding space its vectors live in."""

import hashlib
from pathlib import Path

from gguf.constants import GGMLQuantizationType

from service.core.space import Space
from service.embedders.gguf_header import Header, Scalar, read_header
from service.errors import Refused

DEFAULT_TOKEN_LIMIT = 512  # a wider window costs every text speed

_POOLINGS = {1: "mean", 2: "cls", 3: "last"}  # GGUF's numbers; 0 is none
_RANKING = 4
_FLOATS = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}
_KNOWN = {kind.value: kind.name for kind in GGMLQuantizationType}


def read_space(
    path: Path,
    *,
    token_limit: int = DEFAULT_TOKEN_LIMIT,
    normalised: bool = True,
    prefix: str = "",
    query_prefix: str = "",
) -> Space:
    """The space of the model at `path`. Raises NotFound, and Refused for a file that is no embedding model.

    Takes milliseconds, unless the file does not name its original and has to be hashed whole.
    """
    header = read_header(path)
    context, dimensions = _architecture_fact(header, "context_length"), _dimensions(header)
    if not context or not dimensions:
        raise Refused(f"{path} names no context length or width: it is not an embedding model.")
    return Space(
        model=_identity(header, path),
        weights=_weights(header),
        dimensions=dimensions,
        pooling=_pooling(header, path),
        normalised=normalised,
        prefix=prefix,
        query_prefix=query_prefix,
        max_tokens=min(context, token_limit),
    )


def _identity(header: Header, path: Path) -> str:
    """Name, tensors and tokenizer: the same for every conversion of one original.

    A file that does not name its original is its own identity.
    """
    name = header.values.get("general.name") or path.stem
    source = header.values.get("general.source.sha256")
    if source is None:
        with path.open("rb") as file:
            return f"{name}@file:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    return f"{name}@{str(source)[:12]}+{_tokenizer_digest(header)}"


def _tokenizer_digest(header: Header) -> str:
    digest = hashlib.sha256()
    for key in sorted(header.raw):
        if key.startswith("tokenizer.ggml."):
            digest.update(key.encode() + b"\0" + header.raw[key])
    return digest.hexdigest()[:8]


def _weights(header: Header) -> str:
    """ "float" where every tensor is, else the quantisation, with counts where several are mixed."""
    quantised = {kind: count for kind, count in header.tensor_types.items() if kind not in _FLOATS}
    names = {kind: _KNOWN.get(kind, f"type{kind}") for kind in quantised}
    if len(quantised) < 2:
        return "".join(names.values()) or "float"
    return "+".join(f"{quantised[kind]}x{names[kind]}" for kind in sorted(quantised))


def _pooling(header: Header, path: Path) -> str:
    """As the file says; else what its kind is trained for: the last token if causal, the mean if not."""
    stated = _architecture_fact(header, "pooling_type")
    if stated == _RANKING:
        raise Refused(f"{path} is a reranker, not an embedding model.")
    causal = _architecture_fact(header, "attention.causal")
    return _POOLINGS.get(stated or 0) or ("mean" if causal == 0 else "last")


def _dimensions(header: Header) -> int | None:
    for key in ("dense_3_feat_out", "dense_2_feat_out", "embedding_length_out", "embedding_length"):
        if found := _architecture_fact(header, key):
            return found
    return None


def _architecture_fact(header: Header, key: str) -> int | None:
    found: Scalar | None = header.values.get(f"{header.values.get('general.architecture')}.{key}")
    return None if found is None else int(found)
