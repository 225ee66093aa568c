"""Find out, step by step, whether this machine can reach its hybrid connection and, if not, what to correct."""
