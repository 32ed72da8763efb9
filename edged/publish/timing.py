"""The publisher's time limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A connection is steady after `steady_s`, which must exceed `longest_delay_s`: two devices that keep
    ending each other's connection wait that long at most, and must never count as steady.
    """

    connect_s: float = 10.0
    """For TCP, for TLS and for the broker's answer, each."""
    acknowledge_s: float = 30.0
    """A message not acknowledged for so long will not be: MQTT sends it again only on a new connection."""
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    steady_s: float = 90.0
    poll_s: float = 5.0
    """The outbox is read this often even without a signal that there is something new."""
    introduce_s: float = 10.0
    """Home Assistant is sent the device's description this often at most, however often it says that it has started."""
    rescan_s: float = 60.0
    """The outbox is read from its beginning this often."""
    retry_first_s: float = 10.0
    retry_longest_s: float = 3600.0
    """What the broker would not take is offered again after the first of these, then ever later, up to the second."""
    trial_s: float = 10.0
    """How long the broker has to answer a message that it refused before, while other messages wait."""
    outbox_first_s: float = 5.0
    """On a new connection the outbox alone is sent for up to so long, before anything else."""
    qos0_accepted_s: float = 1.0
    """What is sent without asking for an answer is taken when the connection still stands after this."""
    retained_s: float = 2.0
    """How long a retained value may take to arrive after the subscription."""
    withdraw_again_s: float = 180.0
    """What could not be withdrawn is tried again after so long: a device that was cut off may count as online until then."""
    tick_s: float = 1.0
    """The longest the thread waits for anything before it gives a sign of life."""


DEFAULT_TIMING = Timing()
