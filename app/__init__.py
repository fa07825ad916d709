"""Quartet: a Discord AI bot over the HTTP Interactions endpoint, with four key sets at work at once."""

VERSION = "0.1.0"
