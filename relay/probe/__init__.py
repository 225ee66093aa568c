"""Says, step by step, whether this machine reaches its hybrid connection and, where it does not, what to do."""
