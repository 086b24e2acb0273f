"""The commands as they are typed: options, arguments and help, by topic.

A command returns the exit code. What it works with it imports when it runs, so that help and --version are instant.
"""
