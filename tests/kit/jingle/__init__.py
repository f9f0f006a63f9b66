"""A made-up format, by one module a half: a jingle is a sound of one of a few lengths, offered by `imp.audio`."""
