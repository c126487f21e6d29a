"""Random models, a few kilobytes large, written for a test."""

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[np.float32]]

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "tide", "##s", "turn", "stone", ",", "."]
WIDTH, INNER, LAYERS, HEADS, CONTEXT = 64, 128, 2, 4, 512


def bert_tensors(words: int = len(VOCABULARY)) -> Tensors:
    """Named and shaped as sentence-transformers does."""
    draw = np.random.default_rng(2).standard_normal
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, WIDTH),
        "embeddings.position_embeddings.weight": (CONTEXT, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}."
        for name in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ):
            shapes |= {f"{start}{name}.weight": (WIDTH, WIDTH), f"{start}{name}.bias": (WIDTH,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{start}{name}.weight": (WIDTH,), f"{start}{name}.bias": (WIDTH,)}
        shapes |= {
            f"{start}intermediate.dense.weight": (INNER, WIDTH),
            f"{start}intermediate.dense.bias": (INNER,),
        }
        shapes |= {f"{start}output.dense.weight": (WIDTH, INNER), f"{start}output.dense.bias": (WIDTH,)}
    return {name: (draw(shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}


def write_bert_folder(folder: Path, vocabulary: Sequence[str] = VOCABULARY) -> Tensors:
    """A sentence-transformers folder; returns its tensors."""
    tensors = bert_tensors(len(vocabulary))
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "layer_norm_eps": 1e-12,
        "vocab_size": len(vocabulary),
    }
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "model.safetensors").write_bytes(_safetensors(tensors))
    return tensors


def vocabulary_of(path: Path) -> list[str]:
    """The word pieces of a GGUF file, as `vocab.txt` has them."""
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"]
    tokens = [bytes(field.parts[at]).decode() for at in field.data]
    return [_word_piece(token) for token in tokens]


def _word_piece(token: str) -> str:
    if token in VOCABULARY[:5]:
        return token
    return token[1:] if token.startswith("\u2581") else f"##{token}"


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_causal_gguf(path: Path) -> None:
    """A llama-like decoder that does not say how it pools or where it came from."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(["\u2581" + token for token in VOCABULARY])
    writer.add_token_types([gguf.TokenType.NORMAL] * len(VOCABULARY))
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_token_type_count(1)
    draw = np.random.default_rng(3).standard_normal
    square = {f"blk.0.attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(VOCABULARY), WIDTH), **square}
    shapes |= {"blk.0.ffn_gate.weight": (INNER, WIDTH), "blk.0.ffn_up.weight": (INNER, WIDTH)}
    shapes |= {"blk.0.ffn_down.weight": (WIDTH, INNER), "output_norm.weight": (WIDTH,)}
    shapes |= {"blk.0.attn_norm.weight": (WIDTH,), "blk.0.ffn_norm.weight": (WIDTH,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, (draw(shape) * 0.3).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _safetensors(tensors: Tensors) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in tensors.items():
        data = tensor.tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        body += data
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + body
