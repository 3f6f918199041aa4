"""Which packages an image has."""

from __future__ import annotations

from collections.abc import Iterable

from berth.base.errors import NotFound
from berth.bootstrap.packages import Package, is_newer

_PRIORITIES = ("required", "important", "standard", "optional")
_INSTEAD = {
    "usrmerge": "usr-is-merged"
}  # the tree is merged before any package is installed: nothing is left to convert


class Archive:
    """The newest version of every package of some suites."""

    def __init__(self, packages: Iterable[Package]) -> None:
        self.packages: dict[str, Package] = {}
        self._provided: dict[str, list[str]] = {}
        for package in packages:
            known = self.packages.get(package.name)
            if known is None or is_newer(package.version, known.version):
                self.packages[package.name] = package
        for package in self.packages.values():
            for name in package.provides:
                self._provided.setdefault(name, []).append(package.name)

    def select(self, include: Iterable[str]) -> list[Package]:
        """Essential and required packages, apt, ``include``, and what they depend on; by name.

        Raises: NotFound for a package that the archive lacks.
        """
        roots = [p.name for p in self.packages.values() if p.essential or p.priority == "required"]
        chosen: dict[str, Package] = {}
        waiting = [*sorted(roots), "apt", *include]
        for name in waiting:
            self._get(name)
        while waiting:
            package = self._get(waiting.pop(0))
            if package.name in chosen:
                continue
            chosen[package.name] = package
            have = {*chosen, *waiting}
            waiting += [self._alternative(group, package.name, have) for group in package.depends]
        return [chosen[name] for name in sorted(chosen)]

    def _get(self, name: str) -> Package:
        found = self.packages.get(name)
        if found is None:
            raise NotFound(f'the suite has no package "{name}"')
        return found

    def _alternative(self, group: tuple[str, ...], wanted_by: str, have: set[str]) -> str:
        """What is taken along anyway, else the first that is there, by its name or as what another provides."""
        for name in group:
            taken = next((one for one in [name, *self._provided.get(name, [])] if one in have), None)
            if taken is not None:
                return taken
        for name in group:
            preferred = _INSTEAD.get(name, name)
            if preferred in self.packages or name in self.packages:
                return preferred if preferred in self.packages else name
            if name in self._provided:
                return min(self._provided[name], key=self._rank)
        raise NotFound(f'the suite has no package "{group[0]}", which {wanted_by} needs')

    def _rank(self, name: str) -> tuple[int, str]:
        """Of several that provide the same: the one that a usual system has."""
        priority = self.packages[name].priority
        return _PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES), name
