"""Share what both edges need: the contract with Manage, the audit log, health, logging and the admin's bases."""
