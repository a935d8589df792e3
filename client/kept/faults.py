"""What can go wrong between a client and its daemon, apart from the daemon's own refusals (`kept.wire.errors`) and a
socket that is not to be trusted (`kept.trust.Untrusted`).

Imports nothing: every kind of client raises these.
"""


class Fault(Exception):
    """No answer was had. Base of this module's classes."""

    may_be_done = False
    """Whether a change had been sent by then, so that it may have been carried out: look before it is asked for anew,
    with a key of its own. The blocking client tells; of `ConnectionLost` it goes without saying."""


class NoDaemon(Fault):
    """Nobody answers at the socket, and none was started or none became ready in time."""


class StartFailed(NoDaemon):
    """A daemon was started and ended before it was ready; the text has its last line."""


class ConnectionLost(Fault):
    """The connection ended after the request was sent. It may have been carried out, and is not safe to repeat."""


class NoReply(Fault):
    """The daemon is there, and did not answer in time. A write may have been carried out."""


class BadReply(Fault):
    """What came back is no reply to what was asked, or is too long."""


class OtherProtocol(Fault):
    """The daemon speaks a version of the protocol that is too old for this client."""
