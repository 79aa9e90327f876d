"""Several hosts that train one model: which they are and what they tell each other."""

from pipeline.hosts.channel import Hosts
from pipeline.hosts.meeting import WAIT_SECONDS, joined_hosts
from pipeline.hosts.places import Place, place_in
from pipeline.hosts.stopping import AgreedStop

__all__ = ["WAIT_SECONDS", "AgreedStop", "Hosts", "Place", "joined_hosts", "place_in"]
