"""Containers by id, by name and by unambiguous prefix. Memory only; the rows are the truth."""

from __future__ import annotations

from collections.abc import Iterator

from berth.base.errors import AlreadyExists, InvalidArgument, NotFound
from berth.base.ids import is_hex
from berth.engine.containers.record import Container
from berth.spec import messages


class ContainerIndex:
    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}
        self.linked: dict[str, set[str]] = {}  # child → parents: who has to know when it comes back

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def reserve_name(self, name: str, container_id: str) -> None:
        """Take a name. Raises: AlreadyExists naming who has it."""
        holder = self._by_name.get(name)
        if holder is not None:
            raise AlreadyExists(messages.name_in_use(name, holder))
        self._by_name[name] = container_id

    def release_name(self, name: str, container_id: str) -> None:
        if self._by_name.get(name) == container_id:
            del self._by_name[name]

    def add(self, container: Container) -> None:
        self._by_name[container.name] = container.id
        self._by_id[container.id] = container

    def discard(self, container: Container) -> None:
        self._by_id.pop(container.id, None)
        self.linked.pop(container.id, None)
        self.release_name(container.name, container.id)

    def find(self, ref: str) -> Container | None:
        try:
            return self.get(ref)
        except NotFound:
            return None

    def get(self, ref: str) -> Container:
        """Full id, name (with or without "/"), then prefix, as Docker resolves.

        Raises: NotFound; InvalidArgument when a prefix fits several.
        """
        found = self._by_id.get(ref)
        if found is None:
            found = self._by_id.get(self._by_name.get(ref.removeprefix("/"), ""))
        if found is not None:
            return found
        if is_hex(ref):
            fits = [c for ident, c in self._by_id.items() if ident.startswith(ref)]
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise InvalidArgument(messages.multiple_ids(ref))
        raise NotFound(messages.no_such_container(ref))
