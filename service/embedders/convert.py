"""A BERT sentence-transformers model in safetensors becomes a GGUF file for llama.cpp."""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf.quants import quantize

from service.errors import Refused

_TENSOR_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}
_NOT_NEEDED = ("embeddings.position_ids", "pooler.", "cls.")
_ALWAYS_F32 = ("position_embd.weight", "token_types.weight")
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

WEIGHTS = {
    "f32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32),
    "f16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
    "bf16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16),
    "q8_0": (gguf.LlamaFileType.MOSTLY_Q8_0, gguf.GGMLQuantizationType.Q8_0),
}


@dataclass(frozen=True)
class BertFiles:
    """What a sentence-transformers folder says of its model."""

    name: str
    source_sha256: str  # of the safetensors file: the identity that every conversion shares
    config: Mapping[str, Any]
    pooling: Mapping[str, Any]
    vocabulary: list[str]
    safetensors: Path


def write_gguf(model: BertFiles, weights: str, out: Path) -> None:
    """Write `model` with its matrices as `weights`, one of `WEIGHTS`. Raises Refused for other kinds."""
    config = model.config
    if config["model_type"] != "bert" or config.get("hidden_act", "gelu") != "gelu":
        raise Refused(f"{model.name} is not a BERT with GELU: give its GGUF file by path instead.")
    file_type, tensor_type = WEIGHTS[weights]
    writer = gguf.GGUFWriter(str(out), "bert")
    _add_facts(writer, model)
    writer.add_file_type(file_type)
    _add_vocabulary(writer, model)
    _add_tensors(writer, model, tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_facts(writer: gguf.GGUFWriter, model: BertFiles) -> None:
    config = model.config
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(model.name)
    writer.add_license("apache-2.0")
    writer.add_string("general.source.sha256", model.source_sha256)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(_pooling_type(model.pooling))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _pooling_type(pooling: Mapping[str, Any]) -> gguf.PoolingType:
    if pooling.get("pooling_mode_cls_token"):
        return gguf.PoolingType.CLS
    if pooling.get("pooling_mode_mean_tokens"):
        return gguf.PoolingType.MEAN
    raise Refused("The model's pooling is neither mean nor [CLS]: give its GGUF file by path instead.")


def _add_vocabulary(writer: gguf.GGUFWriter, model: BertFiles) -> None:
    """WordPiece in llama.cpp's form: a word's first piece carries U+2581, a continuation nothing."""
    writer.add_token_type_count(model.config.get("type_vocab_size", 2))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")  # what llama.cpp's own converter records for bert-uncased
    writer.add_token_list([_piece(token) for token in model.vocabulary])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in _SPECIAL_TOKENS else normal for token in model.vocabulary])
    pad, unknown, start, end, mask = (model.vocabulary.index(token) for token in _SPECIAL_TOKENS)
    writer.add_pad_token_id(pad)
    writer.add_unk_token_id(unknown)
    writer.add_bos_token_id(start)
    writer.add_eos_token_id(end)
    writer.add_sep_token_id(end)
    writer.add_mask_token_id(mask)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _piece(token: str) -> str:
    if token in _SPECIAL_TOKENS:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def _add_tensors(writer: gguf.GGUFWriter, model: BertFiles, matrix_type: gguf.GGMLQuantizationType) -> None:
    layers = model.config["num_hidden_layers"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    written = 0
    for source_name, tensor in read_safetensors(model.safetensors):
        plain = source_name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")
        if plain.startswith(_NOT_NEEDED):
            continue
        name = names.get_name(plain, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise Refused(f"{model.safetensors} has a tensor that no BERT has: {source_name}.")
        small = tensor.ndim == 1 or name in _ALWAYS_F32
        kind = gguf.GGMLQuantizationType.F32 if small else matrix_type
        writer.add_tensor(name, quantize(tensor, kind), raw_dtype=kind)
        written += 1
    if written != 5 + 16 * layers:
        raise Refused(
            f"{model.safetensors} has {written} tensors, a BERT of {layers} layers {5 + 16 * layers}."
        )


def read_safetensors(path: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Every tensor by name, as float32 in its own shape."""
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    (header_bytes,) = struct.unpack("<Q", raw[:8].tobytes())
    start = 8 + header_bytes
    for name, entry in json.loads(raw[8:start].tobytes()).items():
        if name == "__metadata__":
            continue
        first, end = entry["data_offsets"]
        data = raw[start + first : start + end].tobytes()
        yield name, np.ascontiguousarray(_as_float32(data, entry["dtype"]).reshape(entry["shape"]))


def _as_float32(data: bytes, kind: str) -> npt.NDArray[np.float32]:
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, dtype=np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, dtype=_TENSOR_TYPES[kind]).astype(np.float32)
