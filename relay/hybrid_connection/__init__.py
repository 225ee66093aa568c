"""A listener and a sender for Azure Relay Hybrid Connections, without Django or anything of this gateway."""
