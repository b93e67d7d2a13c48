"""The one room that talks to Redis: reliable lists, and everything the workers share.

docs/design.md section 6 has the keys. Redis 5 or newer, Valkey, or either behind Sentinel. Lua is source: each script
opens with its keys, arguments, result and promise.
"""
