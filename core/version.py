"""The version of Grosz; the packaging metadata reads it from here, so that a checkout knows it too."""

VERSION = "0.1.0"
