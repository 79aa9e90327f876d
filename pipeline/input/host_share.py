"""The part of each batch that a host gets."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class HostShare:
    """A part of every batch: the host's, in batches for each of its devices.

    Host h of H gets elements h B / H to (h + 1) B / H of each batch of B, its devices equal parts of these in order:
    all hosts and devices together see what a single device would see.

    Attributes:
      host: number of the host, from 0.
      hosts: number of hosts.
      devices: number of batches into which the host's part is divided.
    """

    host: int = 0
    hosts: int = 1
    devices: int = 1

    def batch_size(self, whole: int) -> int:
        """Returns the length of the batches of this share, of which `whole` is the length over all hosts."""
        return whole // (self.hosts * self.devices)

    def numbers(self, start: int, end: int, whole: int) -> tf.data.Dataset:
        """Returns those of the numbers start … end - 1 that this host gets, int64.

        Args:
          start: first number; the first batch begins with it.
          end: the end, as many whole batches after the start.
          whole: length of a batch over all hosts.
        """
        if self.hosts == 1:
            return tf.data.Dataset.range(start, end)
        here = whole // self.hosts

        @tf.autograph.experimental.do_not_convert
        def of_this_host(turn: tf.Tensor) -> tf.Tensor:
            return start + self.host * here + turn // here * whole + turn % here

        return tf.data.Dataset.range((end - start) // self.hosts).map(of_this_host)


WHOLE = HostShare()
