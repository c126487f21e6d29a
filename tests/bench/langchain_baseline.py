"""The pipeline that users have today; run by `against_langchain` with an interpreter that has LangChain.

Arguments: GGUF file, documents between saves, folder for the index. Stdin: a JSON list of documents, each a list of
chunks. Stdout: a JSON object with the seconds of everything and, of these, of the saves.
"""

import contextlib
import json
import sys
import time

from langchain_community.embeddings import LlamaCppEmbeddings
from langchain_community.vectorstores import FAISS


def main(model: str, save_every: int, folder: str) -> dict[str, float]:
    documents = json.load(sys.stdin)
    embeddings = LlamaCppEmbeddings(model_path=model, verbose=False)
    embeddings.embed_query("warm")
    began, saving = time.perf_counter(), 0.0
    store = None
    for first in range(0, len(documents), save_every):
        texts = [chunk for document in documents[first : first + save_every] for chunk in document]
        if store is None:
            store = FAISS.from_texts(texts, embeddings)
        else:
            store.add_texts(texts)
        before = time.perf_counter()
        store.save_local(folder)
        saving += time.perf_counter() - before
    return {"seconds": time.perf_counter() - began, "saving": saving}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        told = main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    print(json.dumps(told))
