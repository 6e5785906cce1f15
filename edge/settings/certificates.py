"""The certificate files that the settings name: found beside the settings file, and read once to see their faults."""

from pathlib import Path

from edge.settings.model import Settings
from edge.support.certificates import load_pair
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["with_certificates"]


def with_certificates(settings: Settings, file: Path) -> Settings:
    """Return the settings with absolute paths of the certificates. A relative path starts at the settings file.

    Raises ConfigurationError with every pair of files that cannot be used.
    """
    folder = file.absolute().parent
    listeners = tuple(listener.anchored(folder) for listener in settings.listen)
    faults: list[SettingFault] = []
    for at, listener in enumerate(listeners):
        for number, pair in enumerate(listener.certificates):
            where = f"listen[{at}]" if number == 0 else f"listen[{at}].more_certificates[{number - 1}]"
            try:
                load_pair(pair.certificate, pair.key, where)
            except ConfigurationError as fault:
                faults += fault.faults
    if faults:
        raise ConfigurationError(str(file), faults)
    return settings.model_copy(update={"listen": listeners})
