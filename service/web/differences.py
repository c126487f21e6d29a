"""The shapes of what is said about generations and how they differ."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.bounds import MOST_ID

Generation = Annotated[int, Field(ge=0, le=MOST_ID)]


class RollbackOrder(BaseModel):
    """To which generation; `jobs` are unfinished ones that may lose what they have committed since, and do it again."""

    model_config = ConfigDict(extra="forbid", strict=True)
    generation: Generation
    preview: bool = False
    jobs: list[Annotated[str, Field(max_length=40)]] = []
    revive_deleted: bool = False  # also documents that were deleted one by one


class Changed(BaseModel):
    """A document and its visible versions at both generations, null where it has none."""

    model_config = ConfigDict(extra="forbid")
    doc_id: int
    key: str
    before: int | None
    after: int | None
    change: Literal["added", "changed", "removed"]


class _Differences(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    collection: str
    from_: int = Field(alias="from")
    to: int
    added: int
    changed: int
    removed: int
    versions_appear: int
    versions_disappear: int
    left_out: int  # of a rollback: documents that were deleted one by one, and stay so
    documents: list[Changed]


class Diff(_Differences):
    """How two generations differ; counts are of all documents, `documents` is a page."""

    next: str | None


class Preview(_Differences):
    """What a rollback would change; `documents` are the first."""

    jobs: list[dict[str, Any]]  # unfinished ones that have committed since
    refused: str | None  # what stands in the way now
