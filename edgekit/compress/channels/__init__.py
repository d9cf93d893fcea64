"""Channels: which can be scaled together, which can be removed together, and their removal."""

from edgekit.compress.channels.groups import Channels, Group, Slot, channel_groups, find_channels
from edgekit.compress.channels.spaces import Space, free_spaces, groups_of, layer_weight

__all__ = ["Channels", "Group", "Slot", "Space", "channel_groups", "find_channels", "free_spaces", "groups_of", "layer_weight"]
