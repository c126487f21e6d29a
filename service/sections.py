"""The settings, section by section, with their defaults and bounds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.bounds import MOST_DOCUMENTS, MOST_WORKERS

AUTO: Final = "auto"

Count = Annotated[int, Field(ge=1)]

# What programs keep for themselves; `.env` holds secrets.
NO_DOCUMENTS = (
    ".git",
    ".hg",
    ".svn",
    ".env",
    ".venv",
    "node_modules",
    "__pycache__",
    ".DS_Store",
    "Thumbs.db",
)

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class ServiceSection(BaseModel):
    """The process and where its data are."""

    model_config = _FROZEN
    data_dir: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    library_roots: Mapping[str, Path] = {}
    requests_per_second: int = Field(default=200, ge=0, le=1_000_000)
    auto_resume: bool = False
    log_format: Literal["console", "json"] = "console"


class IngestionSection(BaseModel):
    """How documents come in."""

    model_config = _FROZEN
    enabled: bool = True
    checkpoint_dir: Path | None = None
    batch_size: int = Field(default=100, ge=1, le=MOST_DOCUMENTS)
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] | Literal["auto"] = AUTO
    commit_seconds: float = Field(default=30.0, gt=0)
    deletes: Literal["off", "safe"] = "safe"
    max_failures_ratio: float = Field(default=0.5, ge=0, le=1)
    max_retries: int = Field(default=3, ge=0)
    min_free_bytes: int = Field(default=256 << 20, ge=0)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = NO_DOCUMENTS
    max_file_bytes: int = Field(default=256_000_000, ge=1)


class EmbeddingSection(BaseModel):
    """The model and what it is given."""

    model_config = _FROZEN
    model_path: Path = Path(AUTO)
    weights: Literal["auto", "f32", "f16", "bf16", "q8_0"] = AUTO
    children: Count | Literal["auto"] = AUTO
    max_tokens: int = Field(default=512, ge=8)
    normalize: bool = True
    prefix: str = ""
    query_prefix: str = ""


class ChunkingSection(BaseModel):
    """How text becomes chunks."""

    model_config = _FROZEN
    max_tokens: int = Field(default=256, ge=8)
    overlap_tokens: int = Field(default=32, ge=0)


class IndexSection(BaseModel):
    """How vectors are kept."""

    model_config = _FROZEN
    max_live_segments: int = Field(default=64, ge=2)
    approximate_above: int = Field(default=50_000, ge=1_000)
    retain_jobs: int = Field(default=10, ge=0, le=10_000)
    retain_days: float = Field(default=7.0, ge=0, le=36_500)
    gc_grace_seconds: float = Field(default=900.0, ge=0, le=31_536_000)
    scrub_bytes_per_second: int = Field(default=8_388_608, ge=65_536)


class LedgerSection(BaseModel):
    """Where the truth is."""

    model_config = _FROZEN
    url: str = "sqlite"
