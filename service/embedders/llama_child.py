"""A child of `pool`: loads the model, then answers units of texts with rows until the pipe ends."""

import json
import os
from pathlib import Path
from typing import IO

from service.children import PipeClosed, read_message, settle_in, write_message
from service.core.space import Space
from service.embedders.embed import embed
from service.embedders.engine import LlamaEngine
from service.embedders.messages import split_texts
from service.embedders.native import NativeModel
from service.embedders.tokens import Tokenizer
from service.errors import TidestoneError

_NICE = 10  # embedding takes what the API and the commits leave


def main() -> None:
    """Arguments: the model's path, its space as JSON. First answer: `ready`, or `refused` and why."""
    (path, space_json), incoming, outgoing = settle_in(_NICE)
    # Where there is a gdb, ggml would have it attached to a child that aborts: seconds, in which nothing is embedded.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    space = Space(**json.loads(space_json))
    try:
        model = NativeModel(Path(path))
        tokenizer, engine = Tokenizer(Path(path), model), LlamaEngine(model, space)
        embed(["ready"], tokenizer, engine, space)  # a model that cannot decode must not blame the texts
    except TidestoneError as error:
        write_message(outgoing, {"refused": str(error)})
        return
    write_message(outgoing, {"ready": True})
    try:
        _answer(incoming, outgoing, tokenizer, engine, space)
    except PipeClosed:
        return


def _answer(
    incoming: IO[bytes], outgoing: IO[bytes], tokenizer: Tokenizer, engine: LlamaEngine, space: Space
) -> None:
    while True:
        header, body = read_message(incoming)
        answer = embed(split_texts(header["bytes"], body), tokenizer, engine, space)
        write_message(outgoing, {"tokens": answer.tokens}, answer.rows.tobytes())


if __name__ == "__main__":
    main()
