"""A listener and a sender for Azure Relay Hybrid Connections. No Django and nothing of this gateway: it lifts out."""
