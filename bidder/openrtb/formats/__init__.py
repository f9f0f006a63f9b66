"""Reading an impression of the protocol into neutral offers, and writing a bid of each format."""
