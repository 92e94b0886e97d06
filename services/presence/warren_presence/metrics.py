"""What the presence service counts. Never labelled by room or person: their number has no bound."""

from prometheus_client import Counter, Gauge

SHARDS = Gauge("warren_presence_shards", "Shards that this replica is the active consumer of.")
COMPLETE = Gauge("warren_presence_shards_settled", "Those of them for which every gateway has announced its people.")
ROOMS = Gauge("warren_presence_rooms", "Rooms with somebody in them, on this replica's shards.")
CONNECTED = Gauge("warren_presence_people", "People connected to any gateway, on this replica's shards.")
GATEWAYS = Gauge("warren_presence_gateways", "Gateways whose lease holds.")
CHANGES = Counter("warren_presence_changes_total", "Joins, leaves and changes of status that gateways announced.")
FRAMES = Counter("warren_presence_frames_total", "Frames told, by kind.", ["kind"])
TAKEOVERS = Counter("warren_presence_takeovers_total", "Shards taken over.")
ASKED = Counter("warren_presence_asked_again_total", "Gateways asked for everything, because something was lost.")
EXPIRED = Counter("warren_presence_leases_expired_total", "Gateways that fell silent.")
REFUSED = Counter("warren_presence_messages_refused_total", "Messages that could not be read.")
RECORDED = Counter("warren_presence_last_seen_total", "Writes of when somebody was last seen.")
UNRECORDED = Counter("warren_presence_last_seen_dropped_total", "Such writes dropped while MongoDB was away.")
