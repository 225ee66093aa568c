"""The edge towards Manage: receive actions through Azure Relay, and execute each once."""
