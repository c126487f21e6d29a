"""A space is read from the model file, and a damaged file is refused."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from service.embedders.embed import embed
from service.embedders.engine import LlamaEngine
from service.embedders.gguf_facts import read_space
from service.embedders.model import SAFETENSORS_SHA256
from service.embedders.native import NativeModel
from service.embedders.tokens import Tokenizer
from service.errors import NotFound, Refused
from tests.embedders.tiny_models import write_causal_gguf
from tests.model import default_model


@pytest.fixture
def causal(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_causal_gguf(path)
    return path


def test_the_default_model_has_the_identity_of_its_original() -> None:
    space = read_space(default_model(), prefix="p", query_prefix="q")
    assert space.model.startswith(f"all-MiniLM-L6-v2@{SAFETENSORS_SHA256[:12]}")
    assert (space.weights, space.dimensions, space.pooling) == ("float", 384, "mean")
    assert (space.max_tokens, space.normalised, space.prefix, space.query_prefix) == (512, True, "p", "q")


def test_f16_and_bf16_give_the_same_vectors() -> None:
    texts = ["Checkpoints are cheap.", "Ebb and flood " * 50, "😀"]
    rows = []
    for path in (default_model("f16"), default_model("bf16")):
        model, space = NativeModel(path), read_space(path)
        rows.append(embed(texts, Tokenizer(path, model), LlamaEngine(model, space), space).rows)
    assert (np.sum(rows[0] * rows[1], axis=1) >= 0.9995).all()
    assert read_space(default_model("f16")).fingerprint == read_space(default_model("bf16")).fingerprint


def test_the_token_limit_narrows_the_window_and_never_widens_it() -> None:
    assert read_space(default_model(), token_limit=100).max_tokens == 100
    assert read_space(default_model(), token_limit=9000).max_tokens == 512


def test_a_file_that_names_no_original_is_its_own_identity(causal: Path) -> None:
    before = read_space(causal)
    assert before.model.startswith("tiny@file:")
    with causal.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    assert read_space(causal).model != before.model


def test_a_causal_model_pools_its_last_token_and_batches_do_not_leak(causal: Path) -> None:
    space, model = read_space(causal), NativeModel(causal)
    assert space.pooling == "last"
    tokenizer, engine = Tokenizer(causal, model), LlamaEngine(model, space)
    texts = ["the tide", "turn the stone , the tide", "stone", "the " * 400]
    together = embed(texts, tokenizer, engine, space).rows
    for text, row in zip(texts, together, strict=True):
        assert embed([text], tokenizer, engine, space).rows[0] @ row > 0.9999
    assert together[0] @ together[1] < 0.999


def test_a_header_cut_anywhere_is_refused(causal: Path, tmp_path: Path) -> None:
    whole, cut = causal.read_bytes(), tmp_path / "cut.gguf"
    header_bytes = whole.rindex(b"blk.0.ffn_norm.weight")
    for length in range(0, header_bytes, 17):
        cut.write_bytes(whole[:length])
        with pytest.raises(Refused, match=r"cut\.gguf"):
            read_space(cut)


def test_a_header_with_any_byte_changed_is_read_or_refused_but_never_crashes(
    causal: Path, tmp_path: Path
) -> None:
    whole, damaged = bytearray(causal.read_bytes()), tmp_path / "damaged.gguf"
    for at in range(0, whole.rindex(b"blk.0.ffn_norm.weight"), 11):
        whole[at] ^= 0xFF
        damaged.write_bytes(whole)
        with suppress(Refused):
            read_space(damaged)
        whole[at] ^= 0xFF


@pytest.mark.parametrize("content", [b"", b"GGUF", b"%PDF-1.7 not a model"])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(Refused):
        read_space(tmp_path / "model.gguf")


def test_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_space(tmp_path / "model.gguf")
