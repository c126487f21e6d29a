"""A disk on which names and bytes last only once they are synced, each by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from tests.powerloss.trace import Event

Tree = dict[str, bytes | None]  # a path below the root, and the file's bytes; None: a folder


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that may be lost; `data` None: a truncation to `offset` bytes."""

    number: int
    offset: int
    data: bytes | None = field(repr=False)

    def apply(self, content: bytearray) -> None:
        """Do it."""
        if self.data is None:
            del content[self.offset :]
        end = self.offset + len(self.data or b"")
        content.extend(bytes(max(0, end - len(content))))
        if self.data is not None:
            content[self.offset : end] = self.data


@dataclass(eq=False)
class File:
    """What is on the platter, and what is not there yet."""

    synced: bytearray = field(default_factory=bytearray, repr=False)
    pending: list[Write] = field(default_factory=list)
    size: int = 0  # with all that is pending


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of one folder that come, go or mean another node, in one step."""

    number: int  # both halves of a move between folders have the same
    names: "dict[str, Node | None]"


@dataclass(eq=False)
class Folder:
    """Entries that last, and changes that do not yet."""

    synced: "dict[str, Node]" = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)

    def entries(self, kept: Sequence[Naming] | None = None) -> "dict[str, Node]":
        """With these pending changes, or with all."""
        entries = dict(self.synced)
        for naming in self.pending if kept is None else kept:
            for name, node in naming.names.items():
                if node is None:
                    entries.pop(name, None)
                else:
                    entries[name] = node
        return entries


Node = File | Folder


@dataclass(frozen=True, slots=True)
class Loss:
    """What of the unsynced survives a power cut: which changes of names, and what a file then holds."""

    name: str
    names: Callable[[Sequence[Naming]], Sequence[Naming]]
    content: Callable[[File], bytes]


class Disk:
    """Replays events below `root`; `begin` says from where on something may be lost."""

    def __init__(self, root: str) -> None:
        self._root, self._top, self._number = PurePath(root), Folder(), 0

    def play(self, event: Event) -> None:
        """One event more."""
        self._number = event.number
        match event.kind:
            case "create":
                if self._find(event.path) is None:
                    self._name(event.path, File())
            case "mkdir":
                self._name(event.path, Folder())
            case "unlink":
                self._name(event.path, None)
            case "rename":
                self._move(event.path, event.other)
            case "link":
                self._name(event.other, self._find(event.path))
            case "write" | "truncate":
                self._write(event)
            case "sync":
                self._sync(event)

    def settle(self) -> None:
        """Everything lasts that has happened up to now."""
        waiting: list[Node] = [self._top]
        while waiting:
            node = waiting.pop()
            self._keep(node, self._number + 1)
            if isinstance(node, Folder):
                waiting += node.synced.values()

    def after(self, loss: Loss) -> Tree:
        """What is found when the power comes back."""
        tree: Tree = {}
        waiting: list[tuple[str, Node]] = list(self._survivors(self._top, loss).items())
        while waiting:
            path, node = waiting.pop()
            if isinstance(node, File):
                tree[path] = loss.content(node)
            else:
                tree[path] = None
                waiting += [(f"{path}/{name}", below) for name, below in self._survivors(node, loss).items()]
        return tree

    def unsynced(self) -> Iterator[File]:
        """Files with writes that may be lost."""
        waiting: list[Node] = [self._top]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Folder):
                waiting += node.entries().values()
            elif node.pending:
                yield node

    def _survivors(self, folder: Folder, loss: Loss) -> dict[str, Node]:
        return folder.entries(loss.names(folder.pending))

    def _find(self, path: str) -> Node | None:
        node: Node | None = self._top
        for name in PurePath(path).relative_to(self._root).parts:
            node = node.entries().get(name) if isinstance(node, Folder) else None
        return node

    def _parent(self, path: str) -> Folder:
        parent = self._find(str(PurePath(path).parent))
        assert isinstance(parent, Folder), path
        return parent

    def _name(self, path: str, node: Node | None) -> None:
        self._parent(path).pending.append(Naming(self._number, {PurePath(path).name: node}))

    def _move(self, old: str, new: str) -> None:
        node, source, target = self._find(old), self._parent(old), self._parent(new)
        if source is target:
            names = {PurePath(old).name: None, PurePath(new).name: node}
            source.pending.append(Naming(self._number, names))
            return
        self._name(old, None)
        self._name(new, node)

    def _write(self, event: Event) -> None:
        file = self._find(event.path)
        assert isinstance(file, File), event.path
        if event.kind == "truncate":
            assert event.offset is not None
            file.pending.append(Write(self._number, event.offset, None))
            file.size = event.offset
            return
        offset = file.size if event.offset is None else event.offset
        file.pending.append(Write(self._number, offset, event.data))
        file.size = max(file.size, offset + len(event.data))

    def _sync(self, event: Event) -> None:
        """What had happened when the call began lasts, once the call has ended."""
        node = self._find(event.path)
        if node is not None:
            self._keep(node, event.began)

    def _keep(self, node: Node, before: int) -> None:
        if isinstance(node, File):
            for write in node.pending:
                if write.number < before:
                    write.apply(node.synced)
            node.pending = [write for write in node.pending if write.number >= before]
        else:
            node.synced = node.entries([naming for naming in node.pending if naming.number < before])
            node.pending = [naming for naming in node.pending if naming.number >= before]
