"""The network seen from inside: which addresses our own processes may call."""
