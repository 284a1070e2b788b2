"""The description of a run, its `config.toml`."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frankrl.config import Settings, code_among
from frankrl.core.errors import SettingError
from frankrl.core.named_code import named_as_stored
from frankrl.core.random import check_seed
from frankrl.core.seeds import checked_seeds
from frankrl.core.text import shown
from frankrl.runs.data_origin import DataOrigin
from frankrl.runs.initial import Origin
from frankrl.runs.mark import mark_of
from frankrl.runs.toml_text import toml_table

_MAX_ENV_ID, _MAX_PRESET = 500, 1_000
"""Characters of texts in a `config.toml`."""


@dataclass(frozen=True)
class RunDescription:
    """The description of a run: everything that decides its outcome, and its machine."""

    env_id: str
    preset: str
    seed: int
    settings: Settings
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    mark: str = field(default="", compare=False)
    """Shows that this user's own Frank wrote the names of code in it: see `runs.mark`."""
    origin: Origin | None = None
    """Where the weights come from that the run began with; None: it drew them by its seed."""
    batched_with: tuple[int, ...] = ()
    """The seeds of the runs that were one program with this one, among them its own, in the order
    of their lanes; none: it was alone."""
    data: DataOrigin | None = None
    """The data set that it learns from; None: from what it collects alone."""

    def marked(self) -> "RunDescription":
        """The same description with this user's mark."""
        return dataclasses.replace(self, mark=mark_of(signed_names(self)))

    def as_stored(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The code among some values of settings, under the names that this run has stored."""
        values = self.settings.values()
        return {
            name: _code_as_stored(values[name], value)
            for name, value in changes.items()
            if name in values and code_among({name: values[name]})
        }

    def to_toml(self) -> str:
        """The text of `config.toml`."""
        run = {"env_id": self.env_id, "preset": self.preset, "seed": self.seed, "mark": self.mark}
        if self.batched_with:
            run["batched_with"] = self.batched_with
        tables = {
            "run": run,
            **({"initial_weights": self.origin.to_table()} if self.origin else {}),
            **({"learned_data": self.data.to_table()} if self.data else {}),
            **self.settings.to_tables(),
            "versions": self.versions,
            "machine": self.machine,
        }
        return "\n".join(toml_table(name, values) for name, values in tables.items())

    @classmethod
    def from_toml(cls, text: str) -> "RunDescription":
        """The description in the text of a `config.toml`.

        Raises:
            SettingError: it is not valid.
        """
        try:
            tables = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingError(f"not valid TOML: {error}") from error
        run = tables.pop("run", {})
        if (
            not isinstance(run, dict)
            or not isinstance(run.get("env_id"), str)
            or type(run.get("seed")) is not int
        ):
            raise SettingError("table [run] must hold env_id (text) and seed (a whole number)")
        env_id = run["env_id"]
        if len(env_id) > _MAX_ENV_ID or not env_id.isprintable():
            raise SettingError(
                f"env_id must be at most {_MAX_ENV_ID} printable characters, got {shown(env_id)}"
            )
        check_seed(run["seed"])
        batched_with = checked_seeds(run["batched_with"]) if "batched_with" in run else ()
        if batched_with and run["seed"] not in batched_with:
            raise SettingError("batched_with must hold the run's own seed")
        versions, machine = tables.pop("versions", {}), tables.pop("machine", {})
        if not isinstance(versions, dict) or not isinstance(machine, dict):
            raise SettingError("[versions] and [machine] must be tables")
        given = tables.pop("initial_weights", None)
        data = tables.pop("learned_data", None)
        settings = Settings.from_tables(tables)
        for name in settings.unresolved():
            raise SettingError(f"{name} must be a number of {settings.clock}")
        return cls(
            env_id=env_id,
            preset=shown(run.get("preset", "default"), _MAX_PRESET),
            seed=run["seed"],
            settings=settings,
            versions=versions,
            machine=machine,
            mark=str(run.get("mark", "")),
            origin=None if given is None else Origin.from_table(given),
            batched_with=batched_with,
            data=None if data is None else DataOrigin.from_table(data),
        )


def _code_as_stored(stored: Any, value: Any) -> Any:
    """The value of a setting that names code, in which objects have the names that are stored."""
    if isinstance(stored, tuple) and isinstance(value, list | tuple):
        before = [*stored, *[""] * len(value)]
        return tuple(map(named_as_stored, before, value))
    return named_as_stored(stored, value) if isinstance(stored, str) else value


def signed_names(description: RunDescription) -> list[Any]:
    """Everything in a run's description that may name code to import, as JSON data."""
    settings = description.settings
    return [
        description.env_id,
        *kwargs_of(description),
        settings.code_names(),
        list(settings.saving.log),
    ]


def kwargs_of(description: RunDescription) -> list[dict[str, Any]]:
    """The keyword arguments of a run's environments; a text in them may name code, too."""
    settings = description.settings
    own = settings.evaluation.evaluation_env_kwargs
    return [settings.environment.env_kwargs] + ([] if own is None else [own])
