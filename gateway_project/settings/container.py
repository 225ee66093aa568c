"""Settings for docker-compose.yml: production's as soon as a relay is configured, until then local ones.

So that one file of services serves both a first look with the relay emulator and a hospital.
"""

from .base import env

if env("AZURE_RELAY_NAMESPACE"):
    from .production import *  # noqa: F403
else:
    from .local import *  # noqa: F403

    MWL_HOST = env("MWL_HOST") or "0.0.0.0"  # noqa: S104 - a published port reaches no loopback address of a container
