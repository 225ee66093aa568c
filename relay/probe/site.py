"""Hold the settings that the steps of a probe share."""

from dataclasses import dataclass, field
from functools import cached_property

from relay.configuration import configured_address, configured_tokens
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import TokenProvider
from relay.probe.route import Route, route_to


@dataclass
class Site:
    """The settings as the steps want them. `addresses` are those of the first host on the way, once it is looked up."""

    addresses: list[str] = field(default_factory=list)

    @cached_property
    def address(self) -> HybridConnectionAddress:
        """The hybrid connection; ValueError where the settings name none."""
        return configured_address()

    @cached_property
    def route(self) -> Route:
        """The way to it; BadProxy where HTTPS_PROXY is none."""
        return route_to(self.address)

    @cached_property
    def tokens(self) -> TokenProvider:
        """What opens it."""
        return configured_tokens()
