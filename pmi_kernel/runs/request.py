"""What a run was asked for, kept so that it can be gone on with by its directory alone."""

from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.data import resolve_source
from pmi_kernel.jobs.job import REQUEST, Request
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.systems import SYSTEMS, config_class


def make_request(config: SystemConfig, settings: RunSettings) -> Request:
    """Return a request that means the same in any folder.

    Raises:
        DataError: The data is not there.
    """
    kept = {**settings.model_dump(mode="json"), "data": resolve_source(settings.data)}
    kept["out"] = str(settings.out.resolve())
    return {
        "system": config.system,
        "config": config.model_dump(mode="json"),
        "settings": kept,
    }


def save_request(config: SystemConfig, settings: RunSettings) -> None:
    """Keep what was asked for; only who owns the run, and agrees with its record, may."""
    REQUEST.write(settings.out, make_request(config, settings))


def request_of(out: Path, **changes: Any) -> tuple[SystemConfig, RunSettings]:
    """Return what a run was asked for, by `request.json` or else by `config.json`.

    Args:
        out: The run directory, which may have been moved.
        changes: Run settings that are to be others now.

    Raises:
        ConfigError: There is no run in `out`, or the file is damaged.
    """
    name = REQUEST.name
    request = REQUEST.read(out)
    if request is None:
        name, record = RECORD.name, RECORD.read(out)
        if record is None:
            raise ConfigError(f"{out} holds no run to go on with")
        settings = {
            "data": record["data_source"],
            "probe": record["probe"],
            "wrong_passage": record.get("wrong_passage", False),
        }
        request = {"system": record["system"], "config": record["config"], "settings": settings}
    return open_request(request, out / name, out=out, **changes)


def open_request(
    request: Request, where: Path | str, **changes: Any
) -> tuple[SystemConfig, RunSettings]:
    """Return the settings in a request.

    Raises:
        ConfigError: They are not what this workbench knows; names `where` they stand.
    """
    system = request.get("system")
    if system not in SYSTEMS:
        raise ConfigError(
            f"{where}: no system {system!r} (there are {', '.join(SYSTEMS)}); put a "
            "copy back, or start in another folder"
        )
    try:
        config = config_class(system).recorded(request["config"])
        return config, RunSettings(**{**request["settings"], **changes})
    except SettingsError as error:
        problems = "; ".join(error.lines())
        raise ConfigError(
            f"{where} is damaged, or another version's ({problems}); put a copy back, or start in "
            "another folder"
        ) from None
