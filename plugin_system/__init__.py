"""Plugins as processes: a plugin may crash, hang and lie; the host goes on.

A plugin's author needs `plugin_system.sdk.Plugin`, a host's author
`plugin_system.executor.Executor`. They share `wire`, and nothing else:
neither side ever imports the other.
"""
