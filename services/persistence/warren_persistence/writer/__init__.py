"""The one place where something becomes part of a room's log: commands are judged, stored, told."""
